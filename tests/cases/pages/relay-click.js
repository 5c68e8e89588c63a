// Stands in for relay-click.js: hands the click to its address and keeps the key, as that does without a consent manager.
(function (script) {
  var oppref = /[?&]oppref=([^&#]+)/.exec(location.search);
  window.relayClick = {
    key: function () { return (JSON.parse(localStorage.getItem("relay_click")) || {}).key || null; }
  };
  if (script.dataset.consent !== "none" || !oppref) return;
  fetch(script.dataset.endpoint || new URL(script.src).origin + "/", {
    method: "POST", body: JSON.stringify({oppref: oppref[1], url: location.href, consent: "unknown"})
  }).then(function (answer) {
    if (!answer.ok) throw new Error("refused");
    return answer.json();
  }).then(function (answer) {
    localStorage.setItem("relay_click", JSON.stringify({key: answer.key}));
  }).catch(function () {});
})(document.currentScript);

// A container that brings pixel and relay-click.js along.
(function (w, d) {
    (function (w, d, address) {
      if (w.oaiq) return;
      var queue = function () { queue.q.push(arguments); };
      queue.q = [];
      w.oaiq = queue;
      var script = d.createElement("script");
      script.async = true;
      script.src = address;
      d.head.appendChild(script);
    })(window, document, "https://bzrcdn.openai.com/sdk/oaiq.min.js");
    oaiq("init", {pixelId: "Qm7TzV4kRw2LpX9sNdB3Yh"});
    oaiq("measure", "page_viewed", {type: "contents"});
  var script = d.createElement("script");
  script.src = "/relay-click.js";
  script.dataset.consent = "none";
  d.head.appendChild(script);
})(window, document);

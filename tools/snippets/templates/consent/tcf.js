// The banner's IAB TCF interface decides (--consent tcf): purpose 1 (storage) and purpose 7 (measuring ads).
(function (w, d) {
  function follow() {
    if (!w.__tcfapi) return;
    w.__tcfapi('addEventListener', 2, function (data, ok) {
      if (!ok || (data.eventStatus !== 'tcloaded' && data.eventStatus !== 'useractioncomplete')) return;
      var consents = (data.purpose && data.purpose.consents) || {};
      relayPixel.consent(data.gdprApplies === false || (consents[1] === true && consents[7] === true));
    });
  }
  if (w.__tcfapi) follow();
  else w.addEventListener('load', follow);
})(window, document);

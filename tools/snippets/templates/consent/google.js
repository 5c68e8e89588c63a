// Google Consent Mode decides (--consent google): the last word on ad_storage in the data layer.
(function (w) {
  var layer = (w.dataLayer = w.dataLayer || []);
  var push = layer.push;
  function look(entry) {
    if (!entry || entry[0] !== 'consent' || !entry[2] || !entry[2].ad_storage) return;
    // A default of "denied" is no answer yet where an update may follow.
    if (entry[1] === 'update' || entry[2].ad_storage === 'granted') {
      relayPixel.consent(entry[2].ad_storage === 'granted');
    }
  }
  layer.slice().forEach(look);
  layer.push = function () {
    Array.prototype.forEach.call(arguments, look);
    return push.apply(layer, arguments);
  };
})(window);

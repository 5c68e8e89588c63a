// Shopify's Customer Privacy API decides (--consent shopify).
(function (w, d) {
  function ask() {
    var privacy = w.Shopify && w.Shopify.customerPrivacy;
    if (privacy && privacy.marketingAllowed) relayPixel.consent(privacy.marketingAllowed());
  }
  d.addEventListener('visitorConsentCollected', function (event) {
    relayPixel.consent(event.detail.marketingAllowed);
  });
  function load() {
    if (!w.Shopify || !w.Shopify.loadFeatures) return;
    w.Shopify.loadFeatures([{ name: 'consent-tracking-api', version: '0.1' }], function (problem) {
      if (!problem) ask();
    });
  }
  if (d.readyState === 'loading') d.addEventListener('DOMContentLoaded', load);
  else load();
})(window, document);

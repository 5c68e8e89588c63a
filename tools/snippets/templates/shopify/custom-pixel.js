// Conversion Relay: OpenAI's pixel for checkout and thank-you page.
// Where: Settings > Customer events > Add custom pixel. Permission: Required, Marketing. Data sale: as your policy says.
// It runs in Shopify's sandbox, which has no cookies of your shop: its events carry no oppref and no obref. That is why
// the relay should own order_created (relay snippet --table); --events all prints it here too, with the same id.
«include:base.js»
«include:core.js»
relayPixel.consent(Boolean(init.customerPrivacy && init.customerPrivacy.marketingAllowed));
customerPrivacy.subscribe('visitorConsentCollected', function (event) {
  relayPixel.consent(event.customerPrivacy.marketingAllowed);
});

(function () {
  // The order's id is 'gid://shopify/Order/6184…', '6184…' or a number; the relay's is its digits.
  function digits(id) {
    var found = /^(?:gid:\/\/shopify\/[A-Za-z]+\/)?([1-9][0-9]{0,29})(?:\?.*)?$/.exec(String(id));
    return found ? found[1] : null;
  }

  // As the relay does it: an id that the cart carries comes before 'shopify:<id>'.
  function eventId(checkout, objectId) {
    var carried = {};
    (checkout.attributes || []).forEach(function (each) { carried[each.key] = carried[each.key] || each.value; });
    var own = relayPixel.usable(carried.__openai_event_id || carried.openai_event_id);
    return own || (objectId ? 'shopify:' + objectId : null);
  }

  function data(checkout) {
    var currency = checkout.currencyCode;
    var contents = (checkout.lineItems || []).map(function (line) {
      var variant = line.variant || {};
      var price = variant.price || {};
      var item = { name: line.title, quantity: line.quantity };
      if (digits(variant.id)) item.id = digits(variant.id);
      return Object.assign(item, relayPixel.money(relayPixel.minorUnits(price.amount, price.currencyCode), price.currencyCode));
    });
    var total = checkout.totalPrice ? relayPixel.minorUnits(checkout.totalPrice.amount, currency) : null;
    return Object.assign({ type: 'contents', contents: contents }, relayPixel.money(total, currency));
  }

  // «if checkout_started»
  analytics.subscribe('checkout_started', function (event) {
    var checkout = event.data.checkout;
    if (checkout.token) relayPixel.measure('checkout_started', data(checkout), eventId(checkout, checkout.token));
  });
  // «end»
  // «if order_created»
  analytics.subscribe('checkout_completed', function (event) {
    var checkout = event.data.checkout;
    var id = checkout.order && digits(checkout.order.id);
    // Without an id it would count beside the relay's event: better no event here.
    if (id) relayPixel.measure('order_created', data(checkout), eventId(checkout, id));
  });
  // «end»
})();

// What every snippet shares: `relayPixel`. Money in minor units, the relay's event ids, and events that wait for consent.
(function (w) {
  'use strict';
  if (w.relayPixel) return;

  // ISO 4217: codes by the number of decimals of their minor unit. Others are left out, amount and all.
  var CODES = «js:codes»;
  var EXPONENTS = {};
  Object.keys(CODES).forEach(function (places) {
    CODES[places].split(' ').forEach(function (code) { EXPONENTS[code] = Number(places); });
  });
  var NO_ID = ['', '0', 'null', 'none', 'nil', 'nan', 'undefined'];
  var granted = null; // null: not known yet
  var waiting = [];

  function currencyCode(currency) {
    var code = String(currency).trim().toUpperCase();
    return Object.prototype.hasOwnProperty.call(EXPONENTS, code) ? code : null;
  }

  // '149.00' USD is 14900, '4510.00' JPY is 4510, '1.2345' KWD is 1235: by the digits, never by floating point.
  // null for an unknown currency and for what is no plain number of 0 or more.
  function minorUnits(amount, currency) {
    var code = currencyCode(currency);
    var parts = /^([0-9]*)\.?([0-9]*)$/.exec(String(amount).trim());
    if (code === null || !parts || parts[1] + parts[2] === '') return null;
    var places = EXPONENTS[code];
    var units = Number(parts[1] + (parts[2] + '0000').slice(0, places));
    if (parts[2].charAt(places) >= '5') units += 1;
    return Number.isSafeInteger(units) ? units : null;
  }

  // Stripe's integers are minor units already, but ISK and UGX come in hundredths and MGA in whole units there.
  function fromStripe(amount, currency) {
    var code = currencyCode(currency);
    if (code === null || !Number.isSafeInteger(amount) || amount < 0) return null;
    if (code === 'ISK' || code === 'UGX') amount = Math.floor((amount + 50) / 100);
    if (code === 'MGA') amount *= 100;
    return Number.isSafeInteger(amount) ? amount : null;
  }

  // Amount and currency together, or neither.
  function money(units, currency) {
    return units === null ? {} : { amount: units, currency: currencyCode(currency) };
  }

  // An id that the page and the webhook share, if it is one: the relay takes no other either.
  function usable(id) {
    var text = id === undefined || id === null ? '' : String(id).trim();
    return NO_ID.indexOf(text.toLowerCase()) < 0 && text.length <= «js:max_id_length» && text.indexOf('@') < 0 ? text : null;
  }

  // A new id for one conversion: hand the same to your server, as openai_event_id.
  function token() {
    var bytes = w.crypto.getRandomValues(new Uint8Array(16));
    return 'pix_' + Array.prototype.map.call(bytes, function (byte) {
      return ('0' + byte.toString(16)).slice(-2);
    }).join('');
  }

  // OpenAI's script drops what is measured before consent and does not make up for it later: so it waits here.
  function measure(name, data, id, options) {
    var settings = Object.assign({}, options);
    if (usable(id) !== null) settings.event_id = usable(id);
    if (granted === null) waiting.push([name, data, settings]);
    else if (granted) w.oaiq('measure', name, data, settings);
  }

  function consent(given) {
    var before = granted;
    granted = given === true;
    if (before !== granted) w.oaiq('consent', granted);
    var held = waiting;
    waiting = [];
    if (granted) held.forEach(function (each) { w.oaiq('measure', each[0], each[1], each[2]); });
  }

  w.relayPixel = {
    consent: consent, currencyCode: currencyCode, fromStripe: fromStripe, measure: measure, minorUnits: minorUnits,
    money: money, token: token, usable: usable
  };
})(window);

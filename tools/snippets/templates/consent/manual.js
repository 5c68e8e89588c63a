// Your banner decides (--consent manual). Call this with the answer, on each page on which it is known:
//   relayPixel.consent(true);   // or false
// Until then nothing is measured. With relay-click.js on the page, call relayClick.consent(…) beside it.

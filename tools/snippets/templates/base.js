// OpenAI's pixel: a queue that takes calls until the script has loaded, consent, then init.
(function (w, d, address) {
  if (w.oaiq) return; // set up already: once is enough
  var queue = function () { queue.q.push(arguments); };
  queue.q = [];
  w.oaiq = queue;
  var script = d.createElement('script');
  script.async = true;
  script.src = address;
  var first = d.getElementsByTagName('script')[0];
  ((first && first.parentNode) || d.head).insertBefore(script, first || null);
  // «if consent=shopify|consent=tcf|consent=google|consent=manual»
  w.oaiq('consent', false); // before init: no cookie and no event until somebody agrees
  // «end»
  w.oaiq('init', { pixelId: «js:pixel_id» });
})(window, document, «js:script»);

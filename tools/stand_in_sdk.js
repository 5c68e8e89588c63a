/* The stand-in's own pixel script: what the stand-in for OpenAI serves as /sdk/oaiq.min.js. It is not OpenAI's script;
   it does what is documented of that one, so that pages can be tried as they are. What is not documented (the body of a
   post, what `t` and `ec` mean, that a click reference is decoded once) is this project's guess.

   oaiq("init", {pixelId, debug?, user?})
   oaiq("measure", event, data, {event_id?, custom_event_name?, opt_out?})              to every pixel of the page
   oaiq("measureSingle", pixelId, event, data, options)                                  to one of them
   oaiq("consent", granted)            true unless it is called; what is blocked meanwhile is never sent later

   Cookies of the page's host: __oppref (the click, 30 days, restarted by each new one) and __obref (the browser, 365
   days). They are set by init, and deleted by a refusal. Calls made before the script was there wait in `oaiq.q`. */
(() => {
  "use strict";

  const VERSION = "0.0.0-stand-in";
  const DAY_S = 86400;
  const server = new URL(document.currentScript.src).origin;
  const debugged = new URLSearchParams(location.search).get("oaiq_debug") === "1";
  const pixels = new Map();
  let consented = true;
  let waiting = (window.oaiq && window.oaiq.q) || [];
  if (window.oaiq && window.oaiq.isStandIn) return; // loaded twice

  function cookie(name) {
    const pair = document.cookie.split("; ").find((each) => each.startsWith(name + "="));
    return pair ? pair.slice(name.length + 1) : "";
  }

  function setCookie(name, value, days) {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `${name}=${value}; Path=/; Max-Age=${days * DAY_S}; SameSite=Lax${secure}`;
  }

  function remember() {
    const clicked = new URLSearchParams(location.search).get("oppref");
    if (clicked) setCookie("__oppref", clicked, 30);
    if (!cookie("__obref")) setCookie("__obref", "ob_" + token(), 365);
  }

  function forget() {
    for (const name of ["__oppref", "__obref"]) setCookie(name, "", 0);
  }

  function token() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (each) => each.toString(16).padStart(2, "0")).join("");
  }

  function post(pixelId, event) {
    const now = Date.now();
    const body = { events: [{ ...event, timestamp_ms: now, source_url: location.origin }] };
    const obref = cookie("__obref");
    const oppref = cookie("__oppref");
    if (obref) body.obref = obref;
    if (oppref) body.oppref = oppref;
    const user = pixels.get(pixelId).user;
    if (user) body.user = user;
    const query = new URLSearchParams({ pid: pixelId, st: "oaiq-web", sv: VERSION, t: now, ec: 1 });
    if (debugged || pixels.get(pixelId).debug) console.info("oaiq", event.type, event.id || "");
    // As plain text the browser asks for no leave first; keepalive lets it outlive the page.
    fetch(`${server}/v1/sdk/events?${query}`, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "Content-Type": "text/plain;charset=UTF-8" },
      keepalive: true,
      credentials: "omit",
    }).catch(() => {});
  }

  function measure(pixelIds, type, data, options = {}) {
    if (!consented) return;
    for (const pixelId of pixelIds) {
      if (!pixels.has(pixelId)) continue; // not initialised: nothing is known of it
      const event = { type, id: options.event_id || token(), data: data || {} };
      if (options.custom_event_name) event.custom_event_name = options.custom_event_name;
      if (options.opt_out !== undefined) event.opt_out = options.opt_out;
      post(pixelId, event);
    }
  }

  const commands = {
    init({ pixelId, debug, user } = {}) {
      const id = pixelId || (pixels.size === 1 ? [...pixels.keys()][0] : undefined);
      if (!id) return;
      const known = pixels.get(id);
      pixels.set(id, { ...known, ...(debug === undefined ? {} : { debug }), ...(user ? { user } : {}) });
      if (!consented) return;
      remember();
      if (known) return;
      fetch(`${server}/pixel-config/v1/${encodeURIComponent(id)}.json`).catch(() => {});
      post(id, { type: "openai::sdk_init" });
    },
    measure(type, data, options) {
      measure([...pixels.keys()], type, data, options);
    },
    measureSingle(pixelId, type, data, options) {
      measure([pixelId], type, data, options);
    },
    consent(granted) {
      consented = granted !== false;
      if (!consented) forget();
      else if (pixels.size) remember();
    },
  };

  function oaiq(command, ...rest) {
    if (Object.hasOwn(commands, command)) commands[command](...rest);
  }
  oaiq.isStandIn = true;
  oaiq.q = { push: (call) => oaiq(...call) };
  window.oaiq = oaiq;
  for (const call of waiting) oaiq(...call);
})();

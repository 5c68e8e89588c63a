// Runs in every frame before the page's own scripts. It notes each call of oaiq with its place and with what the
// consent managers say at that moment, and each violation of a Content-Security-Policy. It changes nothing.
(() => {
  const tell = window.__relayDoctor;
  if (!tell) return;
  let left = 400;
  const told = new WeakSet();
  const send = (record) => {
    if (left-- > 0) try { tell(JSON.stringify(record)); } catch (e) { /* what cannot be written down is not told */ }
  };
  const plain = (value) => {
    try {
      return JSON.parse(JSON.stringify(value, (_, each) =>
        typeof each === "string" ? each.slice(0, 2000) : typeof each === "function" ? "(function)"
          : typeof each === "bigint" ? Number(each) : each));
    } catch (e) { return null; }
  };

  const consent = () => {
    try {
      const shopify = window.Shopify && window.Shopify.customerPrivacy;
      if (shopify) {
        const ask = shopify.marketingAllowed || shopify.userCanBeTracked;
        return {manager: "Shopify's Customer Privacy", allowed: !!(ask && ask.call(shopify))};
      }
      if (typeof window.__tcfapi === "function") {
        let allowed = false;
        window.__tcfapi("getTCData", 2, (data, good) => {
          allowed = !!good && !!data && (data.gdprApplies === false ||
            (data.eventStatus !== "cmpuishown" && !!(data.purpose && data.purpose.consents && data.purpose.consents[1])));
        });
        return {manager: "the TCF manager", allowed};
      }
      let google = null;
      for (const each of window.dataLayer || []) {
        if (each && each[0] === "consent" && each[2] && each[2].ad_storage) google = each[2].ad_storage;
      }
      if (google) return {manager: "Google's consent mode", allowed: google === "granted"};
      if (window.Cookiebot) return {manager: "Cookiebot", allowed: !!(Cookiebot.consent && Cookiebot.consent.marketing)};
    } catch (e) { /* a manager that fails has not allowed anything that we know of */ }
    return {};
  };

  const note = (given) => {
    const args = Array.from(given || []);
    const stack = String(new Error().stack || "").split("\n").slice(1)
      .filter((line) => /https?:/.test(line)).map((line) => line.trim().slice(0, 300));
    if (stack[0] && /bzrcdn\.openai\.com/.test(stack[0])) return;  // the pixel's script works off its queue
    send({kind: "call", args: args.map(plain), at: stack[0] || "", consent: consent()});
  };

  let held;
  const wrapped = (value) => typeof value !== "function" ? value : new Proxy(value, {
    apply(target, self, given) {
      note(given);
      const before = target.q && target.q.length;
      const result = Reflect.apply(target, self, given);
      if (target.q && target.q.length > before && target.q[before]) told.add(target.q[before]);
      return result;
    },
  });
  try {
    Object.defineProperty(window, "oaiq", {
      configurable: true, enumerable: true,
      get: () => held, set: (value) => { held = wrapped(value); },
    });
  } catch (e) { /* the pixel's own stand-in still tells of what is in the queue */ }
  // `function oaiq(){}` takes the place of the property above: then the queue is read when the script works it off.
  Object.defineProperty(window, "__relayDoctorNote", {
    value: (given) => { if (!told.has(given)) note2(given); }, enumerable: false,
  });
  const note2 = (given) => send({kind: "call", args: Array.from(given || []).map(plain), at: "", consent: consent()});

  document.addEventListener("securitypolicyviolation", (event) => {
    if (event.disposition === "enforce") send({
      kind: "violation", directive: event.effectiveDirective, blocked: event.blockedURI, line: event.lineNumber,
    });
  });
})();

/*
 * relay-click.js keeps what an ad click left in the browser, so that a purchase can be matched to it later.
 *
 * It takes the click's references, oppref and obref, from the address of the landing and from the pixel's cookies,
 * byte for byte: nothing here decodes them. It posts them once for each landing to the click memory and gets a key for
 * them. That key is offered to whatever ends in a webhook: Shopify's cart, Stripe's links, hidden fields, the page's
 * own code. docs/relay-click.md says how to install it.
 *
 * Two rules hold throughout. Before there is consent nothing is stored or posted, nor read from storage. And nothing
 * here may break the page: what fails, fails without an error, and is tried again where that can help.
 *
 * The language is ES2019, and nothing is needed besides the browser. `make script` makes relay-click.min.js of it,
 * which has to stay below 2,500 bytes. Hence one look at everything, whenever the page changes and once a second, in
 * place of a listener for each thing that may change; and hence `let` where nothing changes, and parameters that nobody
 * gives, in place of declarations.
 */
((document, NAME, REFERENCE, text) => {
  // The source of consent is shopify, tcf, google or none; with anything else the page has to say.
  let { src, dataset: { consent: source, endpoint = new URL(src).origin } } = document.currentScript;

  let attempt = (action) => {
    try {
      return action();
    } catch {} // of the browser's settings, or of another script: no business of the page
  };

  let store = attempt(() => localStorage) || {};
  let session = attempt(() => sessionStorage) || {};

  // 1 and 0 are the shopper's answers, 2 says that none is asked for; undefined and NaN, that there is none yet.
  let consent = { none: 2 }[source];
  let word; // what the endpoint and the cart are told of it: nothing where nobody asks
  let connected; // whether Shopify was asked to load its part

  let taken = 0; // the oppref that this page took last: where another tab lands, or removes the memory, it has its way
  let landing; // what else there was to know then, until there is consent to make it the memory
  let posting; // 1 while a post is under way, 2 while one that failed waits for its second try
  let failures = 0;
  let told = session[NAME]; // what the cart was told last, with its token: after a purchase there is a new one, to be told
  let resolve;
  let keyed = new Promise((resolver) => (resolve = resolver));

  // The first filled value of a name, as it stands in the text.
  let find = (from, pattern) => (from.match(pattern) || 0)[1];
  let cookie = (name) => find("; " + document.cookie, "; " + name + "=([^;]+)");

  let cart = cookie("cart"); // the token as the page began, or as it was when the cart was told

  // The memory: {key, oppref, obref, url, at, sent}. `at`: ms since the epoch; it is kept for 30 days, as at the endpoint.
  let read = (memory = attempt(() => JSON.parse(consent + 1 && store[NAME]))) =>
    memory && memory.at > new Date() - 2592e6 ? memory : {};

  let write = (memory) => {
    try {
      store[NAME] = text(memory);
    } catch {
      store = { [NAME]: text(memory) }; // full or blocked: for as long as this page lives
    }
  };

  let send = (url, body, headers) => fetch(url, { method: "POST", keepalive: true, headers, body });

  let post = async (memory) => {
    posting = 1;
    try {
      // Without a type the body is text, which needs no preflight. JSON leaves functions out, and so `at` and `sent`.
      let response = await send(endpoint, text({ ...memory, at: attempt, sent: attempt, consent: word }));
      let { key } = response.status < 429 ? await response.json() : null; // an error, when there was no answer
      // Another tab may have landed meanwhile, or consent may be gone. A refusal is not asked for twice.
      if (read().at == memory.at) {
        memory.key = key || memory.key;
        memory.sent = memory.obref + "";
        write(memory);
      }
      posting = 0;
      look();
    } catch {
      posting = 2;
      setTimeout(() => (posting = failures++ && 2), 15e3);
    }
  };

  let toCart = (
    memory,
    body = text(
      {
        attributes: {
          [NAME]: memory.key,
          __oppref: memory.oppref,
          __obref: memory.obref,
          relay_consent: word,
        },
      },
      (name, value = "") => (value.length > 254 ? "" : value), // an empty value clears an attribute
    ),
  ) =>
    told !== body + cart &&
    ((told = body + cart),
    send("/cart/update.js", body, { "Content-Type": "application/json" })
      .then(({ ok }) => ok && (session[NAME] = told = body + (cart = cookie("cart"))))
      .catch(attempt));

  // A link gets the key at its end, unless it has a reference of its own. A key that is no longer ours is taken off.
  let tag = (
    link,
    { key } = read(),
    [query, value] = link.search.split(REFERENCE),
    search = key ? query + (value ? "" : query ? "&" : "?") + REFERENCE + key : query,
  ) => {
    if ((!value || /^rc1_.{22}$/.test(value)) && search !== link.search) link.search = search;
    return link.href;
  };

  let sources = {
    // Shopify Customer Privacy API. A reference that goes to OpenAI is both marketing and data shared with others.
    shopify(privacy = Shopify.customerPrivacy) {
      if (privacy) {
        consent = privacy.marketingAllowed()
          ? +privacy.saleOfDataAllowed()
          : { no: 0 }[privacy.currentVisitorConsent().marketing];
      } else {
        connected = connected || [Shopify.loadFeatures([{ name: "consent-tracking-api", version: "0.1" }], attempt)];
      }
    },

    // IAB TCF v2: purpose 1 is to store on the device, 7 to measure how advertising performs. Nothing else is done here.
    // Of the statuses tcloaded, useractioncomplete and cmpuishown, the last says that the shopper is still being asked.
    tcf() {
      source = __tcfapi(
        "addEventListener",
        2,
        (data, success) =>
          success &&
          data.eventStatus > "d" &&
          (consent = data.gdprApplies === false || (data.purpose.consents[1] && data.purpose.consents[7]) ? 1 : 0),
      ); // to nothing: it is called once
    },

    // Google Consent Mode, the commands in dataLayer: a default that denies means not yet, an update is an answer.
    // Whose region a default is for is not known here: one that denies is enough to wait.
    google() {
      for (let { 0: command, 1: kind, 2: values } of dataLayer) {
        // "grantedgranted" where both are: "dg" is in no other pair, and "den" only in those with a "denied".
        let both = command == "consent" && values.ad_storage + values.ad_user_data;
        let update = kind > "e"; // not "default"
        if (/den/.test(both)) consent = update ? 0 : NaN;
        else if (/dg/.test(both) && (update || consent == null)) consent = 1;
      }
    },
  };

  let look = (address = document.URL.split("#")[0], oppref = find(address, "[?&]oppref=([^&]+)")) =>
    attempt(() => {
      if (oppref !== taken && (oppref || !taken)) {
        taken = oppref;
        landing = { obref: find(address, "[?&]obref=([^&]+)"), url: address.split("?")[0], at: +new Date() };
      }
      attempt(sources[source]);
      word = ["denied", "granted"][consent];
      let memory = read();
      if (consent) {
        if (landing && (taken ? taken !== memory.oppref : !memory.at)) {
          (memory = landing).oppref = taken || cookie("__oppref");
        }
        memory.obref = cookie("__obref") || memory.obref;
        if (memory.at && (memory.oppref || memory.obref)) {
          landing = 0;
          write(memory);
          if (memory.sent != memory.obref + "" && !posting) post(memory);
          if (memory.key) resolve(memory.key);
        } else memory = {};
      }
      if (consent === 0) {
        // What the endpoint has under the key goes too.
        if (memory.key) send(endpoint, text({ key: memory.key, consent: word })).catch(attempt);
        delete store[NAME];
        memory = {};
        taken = 0;
      }
      document
        .querySelectorAll('a[href^="https://buy.stripe.com"],[name=' + NAME + "]")
        .forEach((element) => (element.href ? tag(element) : (element.value = memory.key || "")));
      if (Shopify && posting ^ 1 && (word || memory.at)) toCart(memory);
    });

  relayClick = {
    // The key, or "" while there is none.
    key: () => read().key || "",
    // What the shopper decided, from the page's own consent tool. The source is not asked any more.
    consent(granted) {
      source = 0;
      consent = +!!granted;
      look();
    },
    // Calls back with the key, once there is one.
    ready: (callback) => keyed.then(callback),
    // A Payment Link with the key, for links that code makes or that have a domain of their own.
    decorate: (url) => tag(new URL(url, document.URL)),
  };

  // When consent comes on the second page, the landing's address is still that of the page before.
  if (!document.referrer.indexOf(origin + "/")) look(document.referrer);
  look();
  setInterval(look, 1e3);
  new MutationObserver(() => look()).observe(document, { childList: true, subtree: true });
})(document, "relay_click", "client_reference_id=", JSON.stringify);

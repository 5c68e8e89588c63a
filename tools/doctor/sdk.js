// Stands in for OpenAI's script while the doctor looks, so that no event is sent. Behaves as documented: works off the
// queue, keeps the click in cookies unless consent is withheld, and posts what is measured (to the doctor).
(() => {
  const early = window.oaiq;
  const queue = early && (early.q || early.queue || (Array.isArray(early) ? early : null)) || [];
  let consented = true;
  let pixel = null;
  const note = window.__relayDoctorNote || (() => {});
  const keep = (name, value, days) => {
    document.cookie = name + "=" + value + "; Max-Age=" + days * 86400 + "; Path=/; SameSite=Lax";
  };
  const cookie = (name) => document.cookie.split("; ").some((each) => each.startsWith(name + "="));
  const post = (type) => {
    const address = "https://bzr.openai.com/v1/sdk/events?pid=" + encodeURIComponent(pixel) + "&st=oaiq-web&sv=doctor";
    fetch(address, {method: "POST", body: JSON.stringify({type}), keepalive: true}).catch(() => {});
  };
  const run = (args) => {
    const [command, first] = args;
    if (command === "consent") {
      consented = first !== false;
    } else if (command === "init") {
      pixel = first && typeof first === "object" && first.pixelId || pixel;
      if (!pixel || !consented) return;
      const click = /[?&]oppref=([^&#]+)/.exec(location.search);
      if (click) keep("__oppref", click[1], 30);
      if (!cookie("__obref")) keep("__obref", "doctor" + Math.random().toString(36).slice(2), 365);
      fetch("https://bzrcdn.openai.com/pixel-config/v1/" + encodeURIComponent(pixel) + ".json").catch(() => {});
      post("openai::sdk_init");
    } else if ((command === "measure" || command === "measureSingle") && pixel && consented) {
      post(command);
    }
  };
  const live = function () { run(Array.from(arguments)); };
  for (const name of Object.keys(early || {})) if (name !== "q") live[name] = early[name];
  live.loaded = true;
  window.oaiq = live;
  for (const each of Array.from(queue)) {
    if (each && typeof each === "object") { note(each); run(Array.from(each)); }
  }
})();

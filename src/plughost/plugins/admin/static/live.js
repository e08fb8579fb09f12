// Live figures: one stream while the page is looked at, polling when there can be none. Works on what
// the server marked with data-live; everything else on the page is left alone.
"use strict";

(() => {
  const POLL_EVERY = 5000;
  let main = document.querySelector("main[data-events]");
  const state = document.getElementById("live-state");
  if (!main || !state) return;
  const places = { events: main.dataset.events, poll: main.dataset.poll };
  let stream = null;
  let timer = 0;
  let failures = 0;

  const say = (text, kind) => {
    if (state.textContent !== text) state.textContent = text;
    state.dataset.kind = kind;
  };

  const put = (element, html) => {
    const open = [...element.querySelectorAll("details")].map((each) => each.open);
    element.innerHTML = html;
    element.querySelectorAll("details").forEach((each, index) => { each.open = Boolean(open[index]); });
  };

  // Rows came or went: take the whole content from the page itself, unless somebody is at a form in it.
  const takeAnew = async () => {
    const busy = main.contains(document.activeElement) && document.activeElement.closest("form");
    if (busy || main.querySelector("details.confirm[open]")) return;
    const answer = await fetch(location.pathname, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    if (!fresh) return;
    fresh.querySelector("#live-state").replaceWith(state);
    const notice = main.querySelector(".notice[role=status]");
    if (notice && !fresh.querySelector(".notice")) fresh.querySelector(".head").after(notice);
    main.replaceWith(fresh);
    main = fresh;
  };

  const show = (told) => {
    for (const [name, html] of Object.entries(told.parts)) {
      const element = main.querySelector(`[data-live="${CSS.escape(name)}"]`);
      if (element && !element.matches(":focus-within")) put(element, html);
    }
    if (told.shape !== main.dataset.shape) void takeAnew();
  };

  const poll = async () => {
    try {
      const answer = await fetch(places.poll);
      if (answer.ok) { show(await answer.json()); say("polling", "polling"); }
      else say(answer.status === 401 ? "signed out" : "not reachable", "off");
    } catch { say("not reachable", "off"); }
  };

  const stopPolling = () => { clearInterval(timer); timer = 0; };
  const startPolling = () => { if (!timer) { timer = setInterval(poll, POLL_EVERY); void poll(); } };

  const close = () => { if (stream) { stream.close(); stream = null; } stopPolling(); };

  const open = () => {
    if (stream || document.hidden) return;
    if (!("EventSource" in window)) { startPolling(); return; }
    stream = new EventSource(places.events);
    stream.addEventListener("open", () => { failures = 0; stopPolling(); say("live", "live"); });
    stream.addEventListener("parts", (event) => { say("live", "live"); show(JSON.parse(event.data)); });
    stream.addEventListener("error", () => {
      failures += 1;
      say("connecting", "off");
      const over = stream && stream.readyState === EventSource.CLOSED;
      if (over || failures > 2) { stream.close(); stream = null; startPolling(); setTimeout(() => { stopPolling(); failures = 0; open(); }, 60000); }
    });
  };

  document.addEventListener("visibilitychange", () => { if (document.hidden) { close(); say("paused", "off"); } else open(); });
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  open();
})();

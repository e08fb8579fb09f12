// Live figures: a stream while the page is looked at, polling when there can be none. Works on what the
// server marked with data-live; everything else on the page is left alone.
//
// A browser opens six connections to a host, for all its tabs together. A stream keeps one, so that a seventh
// tab would never load: only three tabs have a stream at a time, and the others poll.
"use strict";

(() => {
  const POLL_EVERY = 3000;
  const STREAMS = 3;
  let main = document.querySelector("main[data-events]");
  const state = document.getElementById("live-state");
  if (!main || !state) return;
  const places = { events: main.dataset.events, poll: main.dataset.poll };
  let stream = null;
  let release = null;
  let opening = false;
  let timer = 0;
  let failures = 0;

  const say = (text, kind) => {
    if (state.textContent !== text) state.textContent = text;
    state.dataset.kind = kind;
  };

  // Take one of the places for a stream; resolves to the way to give it back, or to null when all are taken.
  const takePlace = (number = 0) => {
    if (!navigator.locks || number === STREAMS) return Promise.resolve(null);
    return new Promise((resolve) => {
      const hold = (lock) => {
        if (!lock) { resolve(takePlace(number + 1)); return null; }
        return new Promise((done) => resolve(done));
      };
      navigator.locks.request(`plughost-stream-${number}`, { ifAvailable: true }, hold).catch(() => resolve(null));
    });
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
    const answer = await fetch(location.pathname + location.search, { headers: { Accept: "text/html" } });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    if (!fresh) return;
    fresh.querySelector("#live-state").replaceWith(state);
    const notice = main.querySelector(".notice[role=status]");
    if (notice && !fresh.querySelector(".notice")) fresh.querySelector(".head").after(notice);
    main.replaceWith(fresh);
    main = fresh;
    if (main.dataset.events === places.events) return;
    // Another part of a long list is looked at: its pieces come by another stream.
    places.events = main.dataset.events;
    places.poll = main.dataset.poll;
    letGo();
    if (!timer) void open();
  };

  const show = (told) => {
    for (const [name, html] of Object.entries(told.parts)) {
      const element = document.querySelector(`[data-live="${CSS.escape(name)}"]`);
      const notice = main.querySelector(".notice[data-about]");
      if (notice && notice.dataset.about === name && !html.includes(`"state ${notice.dataset.state}"`)) notice.remove();
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
    if (failures < 3) void open();
  };

  const stopPolling = () => { clearInterval(timer); timer = 0; };
  const startPolling = () => { if (!timer) { timer = setInterval(poll, POLL_EVERY); void poll(); } };

  const letGo = () => {
    if (stream) { stream.close(); stream = null; }
    if (release) { release(); release = null; }
  };

  const fail = () => {
    failures += 1;
    say("connecting", "off");
    if (failures < 3 && stream.readyState !== EventSource.CLOSED) return;
    letGo();
    startPolling();
    setTimeout(() => { failures = 0; }, 60000);
  };

  const open = async () => {
    if (stream || opening || document.hidden) return;
    opening = true;
    release = "EventSource" in window ? await takePlace() : null;
    opening = false;
    if (document.hidden) { letGo(); return; }
    if (!release) { startPolling(); return; }
    stream = new EventSource(places.events);
    stream.addEventListener("open", () => { failures = 0; stopPolling(); say("live", "live"); });
    stream.addEventListener("parts", (event) => { say("live", "live"); show(JSON.parse(event.data)); });
    stream.addEventListener("error", fail);
  };

  const pause = () => { letGo(); stopPolling(); say("paused", "off"); };

  document.addEventListener("visibilitychange", () => { if (document.hidden) pause(); else void open(); });
  addEventListener("pagehide", pause);
  addEventListener("pageshow", () => void open());
  void open();
})();

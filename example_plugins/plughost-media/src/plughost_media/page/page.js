// One page, no build step: each box asks one address, and says how old its answer is or which part is away.

import { play } from "./player.js";

const $ = (id) => document.getElementById(id);
const SIGN_IN = "media-sign-in";
let name = "";

async function ask(path, options = {}) {
  const { body, ...rest } = options;
  const headers = { Accept: "application/json", ...(body === undefined ? {} : { "Content-Type": "application/json" }) };
  const answer = await fetch(path, { ...rest, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await answer.text();
  let data = null;
  try { data = text ? JSON.parse(text) : null } catch { /* a page where JSON should be is told by its status */ }
  return { ok: answer.ok, status: answer.status, data, headers: answer.headers };
}

function made(tag, text = "", attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function posters(list, items, picture, title, onPlay) {
  list.replaceChildren(...items.map((item) => {
    const line = made("li");
    const inside = onPlay ? made("button", "", { type: "button", "aria-label": `Play ${title(item)}` }) : made("div");
    const source = picture(item);
    inside.append(source ? made("img", "", { src: source, alt: "", loading: "lazy", width: 185, height: 278 }) : made("div", "", { class: "blank" }));
    inside.append(made("span", title(item)));
    if (onPlay) inside.addEventListener("click", () => onPlay(item));
    line.append(inside);
    return line;
  }));
  if (!items.length) list.append(made("li", "Nothing here yet.", { class: "soft" }));
}

const image = (source, path) => path ? `/api/images/${source}/${path.replace(/^\//, "")}?w=185` : "";
const plexPicture = (item) => image("plex", item.thumb || item.grandparentThumb);
const plexTitle = (item) => item.grandparentTitle ? `${item.grandparentTitle}: ${item.title}` : item.title;
const watch = (item) => play(item.ratingKey, plexTitle(item), ask);

const boxes = {
  trending: {
    path: "/api/tmdb/trending/all/week", each: 30,
    show: (box, data) => posters(box.querySelector("ul"), data.results || [],
      (item) => image("tmdb", item.poster_path), (item) => item.title || item.name || "?"),
  },
  ondeck: {
    path: "/api/plex/ondeck", each: 20,
    show: (box, data) => posters(box.querySelector("ul"), data.MediaContainer.Metadata || [], plexPicture, plexTitle, watch),
  },
  library: {
    path: "/api/plex/library/1/all?size=30", each: 60,
    show: (box, data) => posters(box.querySelector("ul"), data.MediaContainer.Metadata || [], plexPicture, plexTitle, watch),
  },
  activities: { path: "/api/plex/activities", each: 2, show: showActivities },
  servers: { path: "/api/plex/servers", each: 5, show: showServers },
  key: { path: "/api/tmdb/usage", each: 15, show: showKey },
  parts: { path: "/api/media/state", each: 2, show: showParts },
};

function showActivities(box, data) {
  const lines = data.activities.map((activity) => {
    const line = made("li");
    line.append(made("span", activity.title));
    if (activity.progress >= 0) {
      line.append(made("progress", "", { max: 100, value: activity.progress, "aria-label": activity.title }), made("span", `${activity.progress} %`));
    }
    return line;
  });
  box.querySelector("ul").replaceChildren(...(lines.length ? lines : [made("li", "Nothing.", { class: "soft" })]));
}

function showServers(box, data) {
  box.querySelector("ul").replaceChildren(...data.servers.map((server) => {
    const line = made("li");
    const how = server.reached_by ? `${server.reached_by}, ${server.latency_ms} ms${server.slow ? ", slow" : ""}` : "not looked at yet";
    line.append(made("span", server.name), made("span", how, { class: "soft" }));
    if (server.current) {
      line.append(made("strong", "in use", { class: "good" }));
    } else {
      const button = made("button", `Use ${server.name}`, { type: "button", class: "quiet" });
      button.addEventListener("click", async () => {
        await ask("/api/plex/servers/current", { method: "PUT", body: { id: server.id } });
        await Promise.all(["servers", "ondeck", "library", "activities"].map(refresh));
        await refresh("servers");
      });
      line.append(button);
    }
    return line;
  }));
}

function showKey(_box, data) {
  const own = data && (data.own_key || data.key);
  $("key-state").textContent = own ? `You use your own key${own.last4 ? `, ending in ${own.last4}` : ""}.` : "You use the shared key.";
}

function showParts(box, data) {
  box.querySelector("ul").replaceChildren(...data.parts.map((part) => {
    const line = made("li");
    const well = part.state === "ready";
    line.append(made("span", part.name), made("span", well ? "ready" : `${part.state}: away`, { class: well ? "good" : "bad" }));
    if (data.demo && part.name !== "sessions" && part.name !== "media") {
      const verb = well ? "Unload" : "Load";
      const button = made("button", `${verb} ${part.name}`, { type: "button", class: "quiet" });
      button.addEventListener("click", async () => {
        await ask("/api/media/demo/part", { method: "POST", body: { name: part.name, load: !well } });
        await Promise.all(Object.keys(boxes).map(refresh));
      });
      line.append(button);
    }
    return line;
  }));
  const share = data.reads ? Math.round(100 * (1 - data.calls / data.reads)) : 0;
  $("saved-share").textContent = `${Math.max(0, share)} %`;
  $("saved-text").textContent = `of calls saved: ${data.reads} answers, ${data.calls} calls`;
  $("saved").hidden = false;
  showTroubles(data.demo);
}

function showTroubles(demo) {
  $("trouble").hidden = !demo;
  if (!demo || $("troubles").contains(document.activeElement)) return;
  $("troubles").replaceChildren(...demo.upstreams.map((upstream) => {
    const label = made("label", `${upstream.name} (${upstream.calls} calls) `);
    const select = made("select", "", { name: upstream.name });
    for (const kind of ["well", ...demo.troubles]) select.append(made("option", kind, { value: kind }));
    select.value = upstream.trouble || "well";
    select.addEventListener("change", async () => {
      await ask("/api/media/demo/trouble", { method: "POST", body: { upstream: upstream.name, kind: select.value } });
      select.blur();
      await Promise.all(Object.keys(boxes).map(refresh));
    });
    label.append(select);
    return label;
  }));
}

async function refresh(which) {
  const box = document.querySelector(`[data-box="${which}"]`);
  const age = box.querySelector(".age");
  try {
    const answer = await ask(boxes[which].path);
    if (answer.status === 401) return signedOut();
    if (!answer.ok) {
      age.className = "age bad";
      age.textContent = answer.status === 404 && answer.data?.code === "not_found" ? "This part is away." : answer.data?.detail || `Status ${answer.status}`;
      return;
    }
    boxes[which].show(box, answer.data);
    const stale = (answer.headers.get("Cache-Status") || "").includes("detail=");
    const seconds = answer.headers.get("Age");
    age.className = stale ? "age stale" : "age";
    age.textContent = seconds === null ? "" : stale ? `stale, ${seconds} s old` : seconds === "0" ? "fresh" : `${seconds} s old`;
  } catch {
    age.className = "age bad";
    age.textContent = "This server does not answer.";
  }
}

const running = new Set();

async function keepFresh(which) {
  while (running.has(which)) {
    if (!document.hidden) await refresh(which);
    await new Promise((done) => setTimeout(done, boxes[which].each * 1000));
  }
}

function signedIn(username) {
  name = username;
  $("who-name").textContent = name;
  for (const id of ["who", "boxes"]) $(id).hidden = false;
  $("welcome").hidden = true;
  for (const which of Object.keys(boxes)) {
    if (running.has(which)) continue;
    running.add(which);
    keepFresh(which);
  }
}

function signedOut() {
  running.clear();
  for (const id of ["who", "boxes", "saved", "trouble"]) $(id).hidden = true;
  $("welcome").hidden = false;
}

async function waitForPlex(handle) {
  $("sign-in").disabled = true;
  $("sign-in-state").textContent = "Waiting for Plex…";
  for (;;) {
    const answer = await ask(`/api/auth/plex/${encodeURIComponent(handle)}`);
    if (answer.status === 200) {
      sessionStorage.removeItem(SIGN_IN);
      $("sign-in-state").textContent = "";
      $("sign-in").disabled = false;
      return signedIn(answer.data.username);
    }
    if (answer.status === 202 || answer.status >= 500 || answer.status === 429) {
      const wait = Number(answer.headers.get("Retry-After")) || 1;
      if (answer.status !== 202) $("sign-in-state").textContent = `Plex: ${answer.data?.detail || answer.status}`;
      await new Promise((done) => setTimeout(done, wait * 1000));
      continue;
    }
    sessionStorage.removeItem(SIGN_IN);
    $("sign-in-state").textContent = answer.data?.detail || "That did not work.";
    $("sign-in").disabled = false;
    return;
  }
}

$("sign-in").addEventListener("click", async () => {
  const answer = await ask("/api/auth/plex", { method: "POST", body: { forward: location.pathname } });
  if (!answer.ok) {
    $("sign-in-state").textContent = answer.data?.detail || "The part that signs in with Plex is away.";
    return;
  }
  sessionStorage.setItem(SIGN_IN, answer.data.handle);
  location.assign(answer.data.address);
});
$("sign-out").addEventListener("click", async () => {
  await ask("/api/auth/logout", { method: "POST", body: {} });
  signedOut();
});
$("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = await ask("/api/tmdb/key", { method: "PUT", body: { key: $("key").value } });
  $("key").value = "";
  await refresh("key");
  if (!answer.ok) $("key-state").textContent = answer.data?.detail || `Status ${answer.status}`;
});
$("key-remove").addEventListener("click", async () => {
  await ask("/api/tmdb/key", { method: "DELETE" });
  await refresh("key");
});

const begun = sessionStorage.getItem(SIGN_IN);
const known = await ask("/api/auth/validate");
if (known.data?.valid) signedIn(known.data.username);
else {
  signedOut();
  if (begun) waitForPlex(begun);
}

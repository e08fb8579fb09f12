// The server makes the page, and each box of it. This keeps boxes up to date, and sends forms without leaving the page.

import { play } from "./player.js";

const root = document.body.dataset.root;
document.documentElement.classList.add("live");
const looking = new Set();
const due = new Map(); // box -> when to look again
const SOON = 3;

// Put new boxes in the place of old ones, and leave alone what did not change: pictures stay, and so does the focus.
function take(html, sent = false) {
  const found = new DOMParser().parseFromString(html, "text/html");
  if (found.querySelector("#welcome")) return location.reload();
  for (const fresh of found.querySelectorAll("[data-box]")) {
    const box = document.querySelector(`[data-box="${fresh.dataset.box}"]`);
    if (!box) continue;
    swap(box.querySelector("h2"), fresh.querySelector("h2"), sent);
    for (const state of ["data-away", "data-late"]) box.toggleAttribute(state, fresh.hasAttribute(state));
    wait(fresh);
    if (fresh.dataset.away !== undefined) continue; // what it said last is better than nothing
    const [inside, said] = [box.querySelector(".inside"), fresh.querySelector(".said")];
    box.querySelector(".said")?.remove();
    if (said) box.insertBefore(said, inside);
    if (inside) swap(inside, fresh.querySelector(".inside"), sent);
    else swap(box, fresh, sent);
  }
}

// What is away is looked for soon; what the server did not wait for, at once.
function wait({ dataset: { box, each, away, late } }) {
  if (each) due.set(box, performance.now() + 1000 * (late !== undefined ? 0 : away !== undefined ? Math.min(each, SOON) : each));
}

const CONTROLS = "button, select, input:not([type=hidden])";

function swap(old, fresh, sent) {
  if (!old || !fresh || old.outerHTML === fresh.outerHTML) return;
  const held = old.contains(document.activeElement) && document.activeElement;
  if (held && !sent && held.matches("select, input")) return; // somebody is choosing or typing
  const place = held ? [...old.querySelectorAll(CONTROLS)].indexOf(held) : -1;
  old.replaceWith(fresh);
  if (place < 0) return;
  const controls = fresh.querySelectorAll(CONTROLS);
  controls[Math.min(place, controls.length - 1)]?.focus();
}

async function refresh(name) {
  if (looking.has(name)) return;
  looking.add(name);
  wait(document.querySelector(`[data-box="${name}"]`));
  try {
    const answer = await fetch(`${root}/media/box/${name}`);
    if (answer.status === 401) return location.reload();
    if (answer.ok) take(await answer.text());
    else tell(name, `Status ${answer.status}`);
  } catch {
    tell(name, "This server does not answer.");
  } finally {
    looking.delete(name);
  }
}

function tell(name, text) {
  const age = document.querySelector(`[data-box="${name}"] .age`) || document.querySelector('[data-box="parts"] .age');
  age.className = "age bad";
  age.textContent = text;
}

for (const box of document.querySelectorAll("[data-each]")) wait(box);
setInterval(() => {
  if (document.hidden) return;
  for (const [box, when] of due) if (when <= performance.now()) refresh(box);
}, 500);

document.addEventListener("submit", async (event) => {
  const form = event.target;
  const chosen = event.submitter;
  if (form.action.endsWith("/do/sign-out")) return;
  event.preventDefault();
  const fields = new FormData(form, chosen);
  if (form.dataset.play !== undefined) return play(root, fields.get("key"), fields.get("title"));
  form.querySelectorAll("input:not([type=hidden])").forEach((input) => { input.value = "" });
  const box = form.closest("[data-box]").dataset.box;
  try {
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(fields) });
    if (answer.status === 401) location.reload();
    else if (answer.ok) take(await answer.text(), true);
    else tell(box, `That was not done: status ${answer.status}.`);
  } catch {
    tell(box, "That was not done: this server does not answer.");
  }
});
document.addEventListener("change", (event) => {
  if (event.target.form?.dataset.onChange !== undefined) event.target.form.requestSubmit();
});

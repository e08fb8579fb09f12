// What the page does for whoever looks at it: one question at a time, Escape closes it, and the list of plugins
// is filtered while one types. Everything works without it.
"use strict";

(() => {
  const questions = () => document.querySelectorAll("details.confirm[open]");

  document.addEventListener("toggle", (event) => {
    const opened = event.target;
    if (!(opened instanceof HTMLDetailsElement) || !opened.open || !opened.matches(".confirm")) return;
    questions().forEach((each) => { if (each !== opened) each.open = false; });
  }, true);

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    questions().forEach((each) => { each.open = false; each.querySelector("summary").focus(); });
  });

  document.addEventListener("click", (event) => {
    questions().forEach((each) => { if (!each.contains(event.target)) each.open = false; });
  });

  const filter = (form) => {
    const words = form.elements.q.value.toLowerCase().split(/\s+/).filter(Boolean);
    const state = form.elements.state.value;
    document.querySelectorAll(`#${form.dataset.filter} [data-text]`).forEach((row) => {
      row.hidden = !words.every((word) => row.dataset.text.includes(word))
        || (state !== "" && row.dataset.state !== state);
    });
    const query = new URLSearchParams(new FormData(form));
    [...query].forEach(([name, value]) => { if (!value) query.delete(name); });
    history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  };

  document.addEventListener("input", (event) => {
    const form = event.target.form;
    if (form && form.dataset.filter) filter(form);
  });
})();

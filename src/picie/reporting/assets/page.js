"use strict";
document.documentElement.classList.add("js");

// Rows of nodes: what is linked to is opened with everything around it.
const reveal = () => {
  const target = /^#n\d+$/.test(location.hash) && document.getElementById(location.hash.slice(1));
  if (!target) return;
  for (let node = target; node; node = node.parentElement.closest("details")) node.open = true;
  target.scrollIntoView({ behavior: "instant" });
  target.querySelector("summary").focus({ preventScroll: true });
};
addEventListener("hashchange", reveal);
document.addEventListener("DOMContentLoaded", () => {
  reveal();
  document.addEventListener("click", async (event) => {
    if (event.target.closest(`a[href="${location.hash}"]`)) reveal(); // the address does not change
    const button = event.target.closest(".command button");
    if (!button) return;
    const code = button.parentElement.querySelector("code");
    getSelection().selectAllChildren(code);
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Press Ctrl+C"; // the text is selected
    }
  });
  document.querySelector(".find")?.addEventListener("submit", (event) => {
    event.preventDefault();
    const field = document.getElementById("node");
    const wanted = "n" + field.value.trim().replace(/^n/i, "");
    const known = /^n\d+$/.test(wanted) && document.getElementById(wanted);
    field.setCustomValidity(known ? "" : "There is no such node on this page.");
    if (!known) field.reportValidity();
    else if (location.hash === "#" + wanted) reveal();
    else location.hash = wanted;
  });
  document.getElementById("node")?.addEventListener("input", (event) => event.target.setCustomValidity(""));
});

document.addEventListener("DOMContentLoaded", () => {
  const shots = document.getElementById("shots");
  if (!shots) return;
  const byId = (id) => document.getElementById(id);
  const mix = byId("mix"), shown = byId("mix-value"), show = byId("show"), count = byId("count");
  const order = byId("order");
  const figures = Array.from(shots.children, (figure) => ({
    figure,
    ids: new Set(figure.dataset.ids.split(" ")),
  }));

  const blend = () => {
    shots.style.setProperty("--mix", mix.value / 100);
    shown.textContent = mix.value + " %";
  };
  const filter = () => {
    let left = 0;
    for (const { figure, ids } of figures) {
      figure.hidden = show.value !== "" && !ids.has(show.value);
      left += !figure.hidden;
    }
    count.textContent = show.value === "" ? left + " photos" : left + " of " + figures.length + " photos";
  };

  const sort = () => {
    const doubt = ({ figure }) => (order.value === "doubt" ? Number(figure.dataset.doubt) : 0);
    shots.append(...figures.toSorted((a, b) => doubt(b) - doubt(a)).map(({ figure }) => figure));
  };

  mix.addEventListener("input", blend);
  order.addEventListener("change", sort);
  show.addEventListener("change", filter);
  byId("large").addEventListener("change", (event) => {
    shots.classList.toggle("large", event.target.checked);
  });
  document.querySelector(".tools").addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-show]");
    if (!link) return;
    const wanted = link.dataset.show;
    show.value = Array.from(show.options).some((option) => option.value === wanted) ? wanted : "";
    filter();
    show.focus({ preventScroll: true });
  });
  blend();
  sort();
  filter(); // a browser that goes back keeps what was chosen
});

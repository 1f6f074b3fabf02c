"use strict";
document.documentElement.classList.add("js");
document.addEventListener("DOMContentLoaded", () => {
  const shots = document.getElementById("shots");
  if (!shots) return;
  const byId = (id) => document.getElementById(id);
  const mix = byId("mix"), shown = byId("mix-value"), show = byId("show"), count = byId("count");
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

  mix.addEventListener("input", blend);
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
  filter(); // a browser that goes back keeps what was chosen
});

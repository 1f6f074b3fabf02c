/** What stands above the wall: order, filter, and how masks are shown. */

import { el, say } from "../core/dom.js";
import { strings } from "../core/strings.js";

/** @typedef {import("../core/store.js").Store} Store */
/** @typedef {import("../core/types.js").Filter} Filter */
/** @typedef {import("../core/types.js").Scope} Scope */
/** @typedef {import("../core/types.js").Sort} Sort */

const text = strings.wall;
const SORTS = /** @type {Sort[]} */ (["share", "doubt", "name", "newest"]);
const FILTERS = /** @type {Filter[]} */ (["all", "with", "touched", "accepted", "changed"]);

export class WallBar {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    const { view } = store;
    this.sort = chooser(SORTS, text.sorts, (sort) => store.look({ sort }));
    this.filter = chooser(FILTERS, text.filters, (filter) => store.look({ filter }));
    this.filter.classList.add("filter");
    this.opacity = slider(0, 100, 5, (value) => store.look({ opacity: value / 100 }));
    this.size = slider(120, 480, 20, (tile) => store.look({ tile }));
    this.outlines = toggle(text.outlines, text.outlinesHint, () => store.look({ outlines: !view.outlines }));
    this.only = toggle(text.only, text.onlyHint, () => store.look({ only: view.only ? null : about(store) }));
    this.changed = toggle(text.changed, text.changedHint, () => store.look({ changed: !view.changed }));
    this.count = el("output", { class: "quiet wall-count" });
    this.root = el(
      "div",
      { class: "bar wall-bar", role: "group", "aria-label": text.barLabel },
      labelled(text.sort, this.sort), labelled(text.show, this.filter), this.count,
      el("span", { class: "bar-toggles" }, this.outlines, this.only, this.changed),
      el("span", { class: "bar-sliders" }, labelled(text.opacity, this.opacity), labelled(text.size, this.size)),
    );
    this.render();
  }

  render() {
    const { view, data } = this.store;
    this.sort.value = view.sort;
    this.filter.value = view.filter;
    this.opacity.value = String(Math.round(100 * view.opacity));
    this.size.value = String(view.tile);
    press(this.outlines, view.outlines);
    press(this.only, view.only !== null);
    press(this.changed, view.changed);
    this.only.disabled = view.only === null && about(this.store) === null;
    this.changed.disabled = !view.changed && (data.state === null || this.store.before === null);
  }

  /**
   * @param {number} shown
   * @param {number} total
   */
  tell(shown, total) {
    say(this.count, text.count(shown, total));
  }
}

/**
 * What the wall is about: what alone is shown, else the question on the card.
 * @param {Store} store
 * @returns {Scope|null}
 */
export function about({ view }) {
  return view.only ?? (view.node === null ? null : { node: view.node });
}

/**
 * @template {string} T
 * @param {readonly T[]} values
 * @param {Record<T, string>} labels
 * @param {(value: T) => void} act
 */
function chooser(values, labels, act) {
  const made = el("select", {}, values.map((value) => el("option", { value }, labels[value])));
  made.addEventListener("change", () => act(/** @type {T} */ (made.value)));
  return made;
}

/**
 * @param {number} min
 * @param {number} max
 * @param {number} step
 * @param {(value: number) => void} act
 */
function slider(min, max, step, act) {
  const made = el("input", { type: "range", min, max, step });
  made.addEventListener("input", () => act(Number(made.value)));
  return made;
}

/**
 * @param {string} label
 * @param {string} title
 * @param {() => void} act
 */
function toggle(label, title, act) {
  return el("button", { type: "button", class: "toggle", title, "aria-pressed": "false", on: { click: act } }, label);
}

/**
 * @param {HTMLElement} button
 * @param {boolean} pressed
 */
function press(button, pressed) {
  button.setAttribute("aria-pressed", String(pressed));
}

/**
 * @param {string} label
 * @param {HTMLElement} control
 */
function labelled(label, control) {
  return el("label", { class: "labelled" }, el("span", {}, label), control);
}

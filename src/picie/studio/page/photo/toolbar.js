/** The tools, the classes they give, and how the photo is looked at. */

import { button, el, fill, icon, say } from "../core/dom.js";
import { NameField } from "../clusters/namefield.js";
import { strings } from "../core/strings.js";

/**
 * @typedef {import("./stage.js").Mode} Mode
 * @typedef {import("../core/store.js").Store} Store
 * @typedef {import("../core/types.js").Tool} Tool
 */

/** Tools with their keys and icons. @type {[Tool, string, string][]} */
export const TOOLS = [
  ["segment", "s", "segment"],
  ["brush", "b", "brush"],
  ["polygon", "g", "polygon"],
  ["box", "r", "box"],
  ["eraser", "e", "eraser"],
  ["pan", "v", "hand"],
];

/** The class of pixels that are none. */
export const IGNORE = "ignore";

/** @type {Mode[]} */
export const MODES = ["one", "side", "slider"];

export class ToolRail {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    const text = strings.viewer;
    this.buttons = new Map(
      TOOLS.map(([tool, key, picture]) => [
        tool,
        el(
          "button",
          {
            type: "button", class: "tool", "aria-label": text.tool[tool], "aria-keyshortcuts": key,
            title: `${text.tool[tool]} (${key})`, "data-tool": tool,
            on: { click: () => store.look({ tool }) },
          },
          icon(picture), el("span", { class: "tool-name" }, text.toolShort[tool]),
        ),
      ]),
    );
    this.size = el("input", {
      type: "range", min: 1, max: 100, "aria-label": text.size, class: "tool-size",
      on: { input: (event) => store.look({ radius: radiusAt(Number(valueOf(event))) }) },
    });
    this.radius = el("output", { class: "tool-radius" });
    this.sizes = el("div", { class: "tool-sizes" }, this.size, this.radius);
    this.root = el("div", { class: "tool-rail", role: "toolbar", "aria-label": text.tools },
      [...this.buttons.values()], this.sizes);
  }

  /** @param {number} scale  screen pixels by pixel of the photo */
  show(scale) {
    const { tool, radius } = this.store.view;
    for (const [name, one] of this.buttons) one.setAttribute("aria-pressed", String(name === tool));
    this.sizes.hidden = tool !== "brush" && tool !== "eraser";
    this.size.value = String(placeOf(radius));
    say(this.radius, strings.viewer.radius(Math.round(radius * scale)));
  }
}

/**
 * The radius at a place of the slider, in CSS pixels; small ones are finer.
 * @param {number} place  1..100
 */
function radiusAt(place) {
  return Math.round(10 * 2 * 100 ** ((place - 1) / 99)) / 10;
}

/** @param {number} radius */
function placeOf(radius) {
  return Math.round(1 + (99 * Math.log(Math.max(2, radius) / 2)) / Math.log(100));
}

/** The classes on the keys 1 to 9, the current one, and a field for another. */
export class ClassPicker {
  /**
   * @param {Store} store
   * @param {{names: () => readonly string[], slots: () => readonly string[],
   *   colourOf: (title: string) => string, choose: (title: string) => void}} means
   */
  constructor(store, means) {
    this.store = store;
    this.means = means;
    const text = strings.viewer;
    this.current = el("p", { class: "class-current" });
    this.chips = el("div", { class: "class-chips", role: "group", "aria-label": text.classes });
    this.field = new NameField({
      label: text.newClass, names: means.names, slots: means.slots, colourOf: means.colourOf,
      onName: (title) => {
        this.field.set();
        this.field.input.blur();
        means.choose(title);
      },
    });
    this.root = el("section", { class: "class-picker", "aria-label": text.classes },
      el("h2", {}, text.classes), this.chips, this.field.root, this.current);
  }

  show() {
    const { title } = this.store.view;
    const slots = this.means.slots();
    const other = title === "" || title === IGNORE || slots.includes(title) ? [] : [title];
    const shown = [...slots, ...other, IGNORE];
    const made = shown.map((name, place) => {
      const key = name === IGNORE ? "i" : place < slots.length ? place + 1 : null;
      return button(name, () => this.means.choose(name), {
        class: "class-chip", "aria-pressed": String(name === title),
        style: { "--colour": this.means.colourOf(name) }, "data-key": key, "aria-keyshortcuts": key,
      });
    });
    const key = shown.map((name) => `${name} ${this.means.colourOf(name)}`).join("|") + `|${title}`;
    if (this.chips.dataset.shown !== key) {
      const place = [...this.chips.children].indexOf(/** @type {Element} */ (document.activeElement));
      fill(this.chips, made);
      this.chips.dataset.shown = key;
      made[place]?.focus();
    }
    say(this.current, title === "" ? strings.viewer.noClass : "");
    this.current.hidden = title !== "";
  }
}

/** Mask, outlines, what changed, mode and zoom. */
export class ViewBar {
  /**
   * @param {Store} store
   * @param {{mode: (mode: Mode) => void, zoom: (factor: number) => void, fit: () => void,
   *   actual: () => void}} means
   */
  constructor(store, means) {
    this.store = store;
    const text = strings.viewer;
    this.opacity = el("input", {
      type: "range", min: 0, max: 100, "aria-label": strings.wall.opacity,
      on: { input: (event) => store.look({ opacity: Number(valueOf(event)) / 100 }) },
    });
    this.outlines = this._toggle(strings.wall.outlines, "", () =>
      store.look({ outlines: !store.view.outlines }));
    this.changed = this._toggle(strings.wall.changed, strings.wall.changedHint, () =>
      store.look({ changed: !store.view.changed }));
    this.modes = el("select", {
      "aria-label": text.mode,
      on: { change: (event) => means.mode(/** @type {Mode} */ (valueOf(event))) },
    }, MODES.map((mode) => el("option", { value: mode }, text.modes[mode])));
    this.percent = button(text.zoom(100), means.actual, { class: "zoom-percent", title: text.actual });
    this.root = el("div", { class: "view-bar" },
      el("label", { class: "view-opacity" }, strings.wall.opacity, this.opacity),
      this.outlines, this.changed, this.modes,
      el("span", { class: "view-zoom" },
        button(text.zoomOut, () => means.zoom(1 / 1.25), { icon: "minus", class: "quiet-button" }),
        this.percent,
        button(text.zoomIn, () => means.zoom(1.25), { icon: "plus", class: "quiet-button" }),
        button(text.fit, means.fit, { icon: "fit", class: "quiet-button" })));
  }

  /**
   * @param {number} scale
   * @param {Mode} mode
   */
  show(scale, mode) {
    const { opacity, outlines, changed } = this.store.view;
    this.opacity.value = String(Math.round(100 * opacity));
    this.outlines.setAttribute("aria-pressed", String(outlines));
    this.changed.setAttribute("aria-pressed", String(changed));
    this.modes.value = mode;
    say(this.percent, strings.viewer.zoom(Math.round(100 * scale)));
  }

  /**
   * @param {string} label
   * @param {string} title
   * @param {() => void} act
   */
  _toggle(label, title, act) {
    return button(label, act, { class: "toggle", title: title || null });
  }
}

/** @param {Event} event */
function valueOf(event) {
  return /** @type {HTMLInputElement|HTMLSelectElement} */ (event.target).value;
}

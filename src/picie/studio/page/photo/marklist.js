/** The marks of a photo as a list: each can be selected and removed. */

import { button, el, fill } from "../core/dom.js";
import { middleOf } from "./shapes.js";
import { strings } from "../core/strings.js";

/** @typedef {import("./shapes.js").Mark} Mark */

export class MarkList {
  /**
   * @param {{select: (id: string|null) => void, remove: (id: string) => void,
   *   colourOf: (title: string) => string}} means
   */
  constructor(means) {
    this.means = means;
    /** @type {string|null} */
    this.selected = null;
    this.list = el("ul", { class: "mark-list" });
    this.none = el("p", { class: "hint" }, strings.viewer.noMarks);
    this.root = el("section", { class: "marks", "aria-label": strings.viewer.marks },
      el("h2", {}, strings.viewer.marks), this.list, this.none);
    this._shown = "";
  }

  /**
   * The last one first.
   * @param {readonly Mark[]} marks  in the order they were made
   * @param {string|null} selected
   */
  show(marks, selected) {
    this.selected = selected;
    this.none.hidden = marks.length > 0;
    const colour = (/** @type {Mark} */ mark) => this.means.colourOf(mark.class ?? "");
    const shown = marks.map((mark) => `${mark.id} ${mark.class} ${colour(mark)}`).join("|");
    if (shown !== this._shown) {
      this._shown = shown;
      const held = this.list.contains(document.activeElement);
      fill(this.list, [...marks].reverse().map((mark) => this._item(mark)));
      if (held) (this.list.querySelector("button") ?? this.list).focus();
    }
    for (const item of this.list.children) {
      const own = item instanceof HTMLElement && item.dataset.mark === selected;
      item.classList.toggle("selected", own);
      item.querySelector("button")?.setAttribute("aria-pressed", String(own));
    }
  }

  /** @param {Mark} mark */
  _item(mark) {
    const [x, y] = middleOf(mark).map(Math.round);
    const label = strings.viewer.mark(mark.act, mark.class, x, y);
    const toggle = () => this.means.select(this.selected === mark.id ? null : mark.id);
    return el("li", { "data-mark": mark.id },
      el("button", {
        type: "button", class: "mark", title: strings.viewer.select,
        on: {
          click: toggle,
          keydown: (event) => {
            const { key } = /** @type {KeyboardEvent} */ (event);
            if (key === "Delete" || key === "Backspace") this.means.remove(mark.id);
          },
        },
      },
        el("i", { class: "swatch", style: { background: this.means.colourOf(mark.class ?? "") } }),
        el("span", {}, label)),
      button(strings.viewer.remove, () => this.means.remove(mark.id), {
        icon: "trash", class: "quiet-button", "aria-label": `${strings.viewer.remove}: ${label}`,
      }));
  }
}

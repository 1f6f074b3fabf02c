/** The share of each class in each photo: sorted by any column, a page at a time, and as CSV. */

import { button, el, fill, say } from "../core/dom.js";
import { percent } from "./numbers.js";
import { sortedBy, toCsv } from "../core/shares.js";
import { strings } from "../core/strings.js";

/**
 * @typedef {import("../core/store.js").Store} Store
 * @typedef {import("../core/types.js").Group} Group
 */

const PAGE = 25;
const text = strings.photoTable;

export class PhotoTable {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.column = -1; // the name
    this.down = false;
    this.page = 0;
    /** @type {{names: readonly string[], groups: readonly Group[], rows: Float32Array}|null} */
    this.content = null;
    this.head = el("tr", {});
    this.rows = el("tbody", {});
    this.place = el("span", { class: "number" });
    this.back = button(text.back, () => this._turn(-1), { icon: "left", class: "icon-button" });
    this.next = button(text.next, () => this._turn(1), { icon: "right", class: "icon-button" });
    this.root = el(
      "section",
      { class: "photo-table" },
      el("h2", {}, text.title),
      el("p", { class: "table-tools" }, this.back, this.place, this.next, button(text.csv, () => this._download())),
      el(
        "div",
        { class: "wide", tabindex: 0, role: "region", "aria-label": text.title },
        el("table", {}, el("thead", {}, this.head), this.rows),
      ),
    );
  }

  /**
   * @param {readonly string[]} names
   * @param {readonly Group[]} groups
   * @param {Float32Array} rows  (N, G)
   */
  show(names, groups, rows) {
    this.content = { names, groups, rows };
    if (this.column >= groups.length) this.column = -1;
    this._render();
  }

  _render() {
    if (this.content === null) return;
    const { names, groups, rows } = this.content;
    const order = this.column < 0
      ? this._byName(names)
      : sortedBy(rows, groups.length, this.column, this.down).filter((photo) => photo < names.length);
    const pages = Math.max(1, Math.ceil(order.length / PAGE));
    this.page = Math.min(this.page, pages - 1);
    const shown = order.slice(this.page * PAGE, (this.page + 1) * PAGE);
    const focused = [...this.head.querySelectorAll("button")].indexOf(
      /** @type {HTMLButtonElement} */ (document.activeElement));
    fill(this.head, this._heading(text.photo, -1, ""),
      groups.map((group, place) => this._heading(titleOf(group), place, group.colour)));
    if (focused >= 0) this.head.querySelectorAll("button")[focused]?.focus();
    fill(this.rows, shown.map((photo) => this._row(photo)));
    say(this.place, text.place(this.page * PAGE + 1, this.page * PAGE + shown.length, order.length));
    this.back.disabled = this.page === 0;
    this.next.disabled = this.page >= pages - 1;
  }

  /** @param {readonly string[]} names */
  _byName(names) {
    const order = Array.from(names, (_, photo) => photo);
    return this.down ? order.reverse() : order;
  }

  /**
   * @param {string} label
   * @param {number} place
   * @param {string} colour
   */
  _heading(label, place, colour) {
    const sorted = place === this.column ? (this.down ? "descending" : "ascending") : "none";
    return el(
      "th",
      { scope: "col", "aria-sort": sorted, class: place < 0 ? "" : "number" },
      el("button", { type: "button", class: "sorter", on: { click: () => this._sort(place) } },
        colour && el("i", { class: "swatch", style: { background: colour } }), label,
        el("span", { "aria-hidden": "true" }, sorted === "none" ? "" : this.down ? " ↓" : " ↑")),
    );
  }

  /** @param {number} photo */
  _row(photo) {
    const { names, groups, rows } = /** @type {NonNullable<typeof this.content>} */ (this.content);
    const open = () => this.store.look({ tab: "photos", photo });
    return el(
      "tr",
      {},
      el("th", { scope: "row" }, button(names[photo], open, { class: "link-button" })),
      groups.map((_, place) => {
        const share = rows[photo * groups.length + place] ?? NaN;
        return el("td", { class: share < 0.0005 ? "number quiet" : "number" }, percent(share));
      }),
    );
  }

  /** @param {number} place */
  _sort(place) {
    this.down = place === this.column ? !this.down : place >= 0;
    this.column = place;
    this.page = 0;
    this._render();
  }

  /** @param {number} step */
  _turn(step) {
    this.page += step;
    this._render();
  }

  _download() {
    if (this.content === null) return;
    const { names, groups, rows } = this.content;
    const content = toCsv(names, groups.map(titleOf), rows);
    const address = URL.createObjectURL(new Blob([content], { type: "text/csv" }));
    const link = el("a", { href: address, download: text.file });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  }
}

/** @param {Group} group */
function titleOf(group) {
  return group.title || strings.cards.cluster(group.node);
}

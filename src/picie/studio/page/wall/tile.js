/** One photo on the wall: thumbnail, mask, badges. Tiles are used again for other photos. */

import { urls } from "../core/api.js";
import { el, icon, say } from "../core/dom.js";
import { strings } from "../core/strings.js";

/** @typedef {import("../painting/painter.js").Painter} Painter */
/** @typedef {import("../painting/painter.js").PaintOptions} PaintOptions */
/** @typedef {import("../core/types.js").LeafMap} LeafMap */
/** @typedef {import("../core/types.js").Table} Table */

/**
 * @typedef {Object} Facts  what the badges say
 * @property {string} name
 * @property {boolean} accepted
 * @property {number} marks
 * @property {boolean} doubtful
 * @property {boolean} unreadable
 * @property {boolean} current  Tab reaches it
 *
 * @typedef {{width: number, height: number}} Size
 */

const MOST_PIXELS = 720; // of the longer side of a mask: cells are far larger
const text = strings.wall;

export class Tile {
  constructor() {
    this.id = -1;
    this.place = -1;
    this.shape = NaN; // width by height of the photo; unknown until the thumbnail is here
    /** @type {Size} */
    this.size = { width: 1, height: 1 };
    /** @type {unknown[]} */
    this._painted = [];
    this.image = el("img", { alt: "", decoding: "async", draggable: "false" });
    this.mask = el("canvas", { "aria-hidden": "true" });
    this.problem = el("span", { class: "tile-problem", hidden: true }, text.unreadable);
    this.name = el("span", { class: "tile-name" });
    this.accepted = badge("check", "accepted", text.accepted);
    this.marked = badge("pencil", "marked", "");
    this.doubt = badge("question", "doubt", text.doubtful);
    this.count = el("span");
    this.marked.append(this.count);
    this.frame = el("div", { class: "tile-frame" }, this.image, this.mask);
    const badges = el("span", { class: "tile-badges" }, this.doubt, this.marked, this.accepted);
    this.root = el(
      "div",
      { class: "tile", role: "option", tabindex: "-1", "aria-selected": "false" },
      this.frame, this.problem, badges, this.name,
    );
    this.image.addEventListener("load", () => this._loaded());
    this.image.addEventListener("error", () => this.root.classList.add("broken"));
    /** @type {(tile: Tile) => void} */
    this.onShape = () => {};
  }

  /**
   * Show a photo at a place of the order.
   * @param {number} id
   * @param {number} place
   * @param {number} total
   * @returns {boolean}  whether it was another photo or place before
   */
  put(id, place, total) {
    const same = id === this.id && place === this.place;
    if (this.root.hidden) this.root.hidden = false;
    if (place !== this.place) {
      this.place = place;
      this.root.setAttribute("aria-posinset", String(place + 1));
      this.root.id = `tile-${place}`;
    }
    this.root.setAttribute("aria-setsize", String(total));
    if (id === this.id) return !same;
    this.id = id;
    this.shape = NaN;
    this._painted = [];
    this.mask.hidden = true;
    this.root.classList.remove("loaded", "broken");
    this.image.src = urls.thumb(id);
    return true;
  }

  /** Show nothing until it is used again. */
  rest() {
    if (this.place < 0) return;
    this.place = -1;
    this.root.hidden = true;
    this.root.tabIndex = -1;
    this.root.removeAttribute("id");
    this.root.removeAttribute("aria-posinset");
  }

  /**
   * @param {number} x  CSS pixels in the wall
   * @param {number} y
   * @param {Size} size
   */
  move(x, y, size) {
    this.root.style.transform = `translate(${x}px, ${y}px)`;
    if (size.width === this.size.width && size.height === this.size.height) return;
    this.size = size;
    this.root.style.width = `${size.width}px`;
    this.root.style.height = `${size.height}px`;
    this._fit();
  }

  /** @param {Facts} facts */
  tell({ name, accepted, marks, doubtful, unreadable, current }) {
    say(this.name, name);
    this.root.tabIndex = current ? 0 : -1;
    this.root.setAttribute("aria-selected", String(current));
    this.accepted.hidden = !accepted;
    this.marked.hidden = marks === 0;
    this.doubt.hidden = !doubtful;
    this.problem.hidden = !unreadable;
    if (marks) {
      say(this.count, String(marks));
      this.marked.title = text.marks(marks);
    }
    const notes = [];
    if (unreadable) notes.push(text.unreadable);
    if (accepted) notes.push(text.accepted);
    if (marks) notes.push(text.marks(marks));
    if (doubtful) notes.push(text.doubtful);
    const label = text.photo(name, notes);
    if (this.root.getAttribute("aria-label") !== label) this.root.setAttribute("aria-label", label);
  }

  /**
   * Paint the mask, unless it is there already.
   * @param {Painter} painter
   * @param {LeafMap|null} map
   * @param {Table} table
   * @param {Pick<PaintOptions, "outlines"|"changed">} options
   */
  paint(painter, map, table, { outlines = false, changed = null }) {
    if (map === null || Number.isNaN(this.shape)) {
      this.mask.hidden = true;
      this._painted = [];
      return;
    }
    const { width, height } = this._pixels();
    const wanted = [map, table, outlines, changed?.map, changed?.table, width, height];
    if (!this.mask.hidden && wanted.every((one, place) => one === this._painted[place])) return;
    this._painted = wanted;
    painter.paint(this.mask, map, table, { width, height, outlines, changed });
    this.mask.hidden = false;
  }

  /**
   * The place of a point in the photo.
   * @param {number} clientX
   * @param {number} clientY
   * @returns {{x: number, y: number}|null}  0..1; null outside of it
   */
  at(clientX, clientY) {
    const box = this.frame.getBoundingClientRect();
    const [x, y] = [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
    return x >= 0 && y >= 0 && x < 1 && y < 1 ? { x, y } : null;
  }

  _loaded() {
    this.shape = this.image.naturalWidth / Math.max(1, this.image.naturalHeight);
    this._fit();
    this.root.classList.add("loaded");
    this.onShape(this);
  }

  /** The frame is the part of the tile that the photo fills. */
  _fit() {
    const { width, height } = this.size;
    const shape = Number.isNaN(this.shape) ? width / height : this.shape;
    const near = Math.abs(shape / (width / height) - 1) < 0.02; // rounding of sides, not of shape
    const wide = shape > width / height;
    this.frame.style.width = `${near || wide ? width : Math.round(height * shape)}px`;
    this.frame.style.height = `${near || !wide ? height : Math.round(width / shape)}px`;
  }

  /** @returns {Size} */
  _pixels() {
    const [width, height] = [parseFloat(this.frame.style.width), parseFloat(this.frame.style.height)];
    const ratio = Math.min(window.devicePixelRatio || 1, MOST_PIXELS / Math.max(width, height, 1));
    return { width: Math.max(1, Math.round(width * ratio)), height: Math.max(1, Math.round(height * ratio)) };
  }
}

/**
 * @param {string} name
 * @param {string} kind
 * @param {string} title
 */
function badge(name, kind, title) {
  return el("span", { class: `badge ${kind}`, title, hidden: true }, icon(name));
}

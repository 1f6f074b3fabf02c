/** Which photo comes next, and which ones the last mark changed most. */

import { get, urls } from "../core/api.js";
import { el, fill, say } from "../core/dom.js";
import { keysOf, shareChanged } from "./regions.js";
import { strings } from "../core/strings.js";

/**
 * @typedef {import("../core/store.js").Store} Store
 * @typedef {import("../painting/painter.js").Painter} Painter
 */

const AHEAD = 5; // photos asked for
const SAMPLE = 24; // photos that are looked at for changes, those in view included
const SHOWN = 4;
const PREVIEW = 320; // width of a photo in the strip, device pixels

/** The way through the photos. It outlives the view, so that one finds it again after another tab. */
export class Queue {
  constructor() {
    /** Photos seen before this one, the last one last. @type {number[]} */
    this.past = [];
    /** Photos that come next. @type {number[]} */
    this.ahead = [];
    /** @type {Promise<void>|null} */
    this._asking = null;
  }

  /**
   * Learn what comes after a photo.
   * @param {number|null} id
   * @returns {Promise<void>}
   */
  async ask(id) {
    const after = id === null ? "" : `&after=${id}`;
    const asking = get(`/api/queue?count=${AHEAD}${after}`).then(({ photos }) => {
      if (this._asking === asking) this.ahead = photos.filter((/** @type {number} */ one) => one !== id);
    });
    this._asking = asking;
    return asking;
  }

  /**
   * The photo after one; null = there is none.
   * @param {number|null} id
   * @returns {Promise<number|null>}
   */
  async next(id) {
    if (this.ahead.length === 0) await this.ask(id);
    const next = this.ahead.shift() ?? null;
    if (next !== null && id !== null) this.past.push(id);
    return next;
  }

  /**
   * The photo before one; null = it was the first.
   * @param {number|null} id
   * @returns {number|null}
   */
  back(id) {
    const before = this.past.pop() ?? null;
    if (before !== null && id !== null) this.ahead.unshift(id);
    return before;
  }
}

/**
 * Photos to look at for changes: those in view, then others evenly spread over the folder.
 * @param {readonly number[]} first
 * @param {number} total  photos in the folder
 * @param {number} [most]
 * @returns {number[]}
 */
export function sampleOf(first, total, most = SAMPLE) {
  const found = new Set(first.slice(0, most));
  const step = Math.max(1, total / most);
  for (let place = step / 2; place < total && found.size < most; place += step) {
    found.add(Math.floor(place));
  }
  return [...found];
}

/** The photos that the last mark changed most, each with its mask; before there is one, the next. */
export class Strip {
  /**
   * @param {Store} store
   * @param {Painter} painter
   * @param {(id: number) => void} open
   */
  constructor(store, painter, open) {
    this.store = store;
    this.painter = painter;
    this.open = open;
    /** @type {{id: number, share: number}[]} */
    this.found = [];
    /** Photos that come next. @type {readonly number[]} */
    this.next = [];
    this.title = el("h2", {});
    this.list = el("ul", { class: "strip-list" });
    this.root = el("section", { class: "strip", "aria-label": strings.viewer.strip },
      this.title, this.list);
    /** @type {Map<number, {item: HTMLElement, canvas: HTMLCanvasElement, share: HTMLElement}>} */
    this._items = new Map();
  }

  /**
   * Maps have come: which photos changed most?
   * @param {readonly number[]} ids  photos that are looked at
   * @param {number|null} current  the photo in the large view
   */
  update(ids, current) {
    const { maps, before: acted } = this.store;
    if (acted === null) return; // nothing was marked since the page was opened
    const numbers = new Map();
    const old = keysOf(this.store.groupsBefore(), 65536, numbers);
    const keys = keysOf(this.store.groups(), 65536, numbers);
    const changes = [];
    let seen = 0;
    for (const id of ids) {
      const [before, after] = [maps.previous(id), maps.get(id)];
      if (before === null || after === null || after.version !== maps.version) continue;
      seen += 1;
      if (id === current) continue;
      const share = shareChanged(before, after, old, keys);
      if (share > 0) changes.push({ id, share });
    }
    if (seen > 0) this.found = changes.sort((a, b) => b.share - a.share).slice(0, SHOWN);
    this.show();
  }

  /** Paint what is there. */
  show() {
    const changed = this.found.length > 0;
    say(this.title, changed ? strings.viewer.strip : strings.viewer.stripNext);
    const wanted = changed ? this.found.map(({ id }) => id) : this.next.slice(0, SHOWN);
    if (wanted.join() !== [...this._items.keys()].join()) {
      const held = this._items;
      this._items = new Map(wanted.map((id) => [id, held.get(id) ?? this._make(id)]));
      fill(this.list, [...this._items.values()].map(({ item }) => item));
    }
    for (const [id, { share }] of this._items) {
      const found = this.found.find((one) => one.id === id);
      const name = this.store.data.photos?.names[id] ?? "";
      say(share, found === undefined ? name : strings.viewer.changedShare(found.share));
      this._paint(id);
    }
  }

  /** Whether every photo shown has the map of the present model. */
  get settled() {
    const { maps } = this.store;
    return this.found.every(({ id }) => maps.get(id)?.version === maps.version);
  }

  /** @param {number} id */
  _paint(id) {
    const map = this.store.maps.get(id);
    const canvas = this._items.get(id)?.canvas;
    if (map === null || canvas === undefined) return;
    const { outlines } = this.store.view;
    const height = Math.max(1, Math.round((PREVIEW * map.h) / map.w));
    if (canvas.parentElement !== null) canvas.parentElement.style.aspectRatio = `${map.w} / ${map.h}`;
    const changed = changedOf(this.store, id);
    this.painter.paint(canvas, map, this.store.table(), {
      width: PREVIEW, height, outlines, ...(changed === null ? {} : { changed }),
    });
  }

  /** @param {number} id */
  _make(id) {
    const name = this.store.data.photos?.names[id] ?? String(id);
    const canvas = el("canvas", { "aria-hidden": "true" });
    const share = el("span", { class: "strip-share" });
    const item = el("li", {},
      el("button", {
        type: "button", class: "strip-photo", "aria-label": strings.viewer.open(name), title: name,
        on: { click: () => this.open(id) },
      },
        el("span", { class: "strip-picture" },
          el("img", { src: urls.thumb(id), alt: "", decoding: "async" }), canvas),
        share));
    return { item, canvas, share };
  }
}

/**
 * What the last act is compared with, if that is to be shown.
 * @param {Store} store
 * @param {number} id
 * @returns {import("../painting/painter.js").Changed|null}
 */
export function changedOf(store, id) {
  if (!store.view.changed) return null;
  const map = store.maps.previous(id) ?? store.maps.get(id);
  return map === null ? null : { map, table: store.tableBefore() };
}

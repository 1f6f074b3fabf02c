/** A few photos with masks, while the model is still learning: the first sign of what it will see. */

import { get, urls } from "../core/api.js";
import { el, fill } from "../core/dom.js";
import { createPainter } from "../painting/painter.js";
import { strings } from "../core/strings.js";

/** @typedef {import("../core/store.js").Store} Store */

const MOST = 18;
const WIDTH = 320; // of a mask, in pixels

export class FirstMasks {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.root = el("ul", { class: "setup-photos", "aria-label": strings.setup.first });
    /** @type {{id: number, image: HTMLImageElement, mask: HTMLCanvasElement}[]} */
    this.tiles = [];
    /** @type {import("../painting/painter.js").Painter|null} */
    this._painter = null;
    this._asked = false;
  }

  close() {
    this.leave();
    this._painter?.free();
  }

  /** @param {number} count  photos in the folder */
  show(count) {
    const shown = Math.min(MOST, count);
    if (this.tiles.length === shown) return;
    const names = this.store.data.photos?.names ?? [];
    this.tiles = Array.from({ length: shown }, (_, place) => {
      const id = Math.floor((place * count) / shown);
      const name = names[id] ?? "";
      const image = el("img", { src: urls.thumb(id), alt: name, title: name, decoding: "async" });
      const mask = el("canvas", { "aria-hidden": "true", hidden: true });
      image.addEventListener("load", () => this.paint());
      return { id, image, mask };
    });
    fill(this.root, this.tiles.map(({ image, mask }) => el("li", {}, image, mask)));
  }

  /** There is a model that stands in for the one that is learning. */
  async load() {
    if (this._asked) return;
    this._asked = true;
    const { store } = this;
    try {
      const [model, state] = await Promise.all([get("/api/model"), get("/api/state")]);
      store.maps.clear();
      store.putModel(model);
      store.putState(state);
      store.maps.want(this.tiles.map((tile) => tile.id));
      this.paint();
    } catch {
      this._asked = false; // not there after all; the training goes on without
    }
  }

  /** The model that stood in is gone; another training has one of its own. */
  leave() {
    if (!this._asked) return;
    this._asked = false;
    this.store.maps.want([]);
    this.store.maps.clear();
    this.paint();
  }

  paint() {
    const { store } = this;
    if (store.data.model === null) return;
    this._painter ??= createPainter();
    const table = store.table();
    for (const { id, image, mask } of this.tiles) {
      const map = store.maps.get(id);
      mask.hidden = map === null || !image.naturalWidth;
      if (map === null || !image.naturalWidth) continue;
      const height = Math.round((WIDTH * image.naturalHeight) / image.naturalWidth);
      this._painter.paint(mask, map, table, { width: WIDTH, height });
    }
  }
}

/** Tiles of photos: loaded when they are seen, a few at once, the last used ones kept. */

import { urls } from "../core/api.js";

/**
 * @typedef {import("./view_transform.js").Tile} Tile
 *
 * @typedef {Object} Wanted
 * @property {string} key
 * @property {string} url
 */

const AT_ONCE = 6; // what a browser loads from one server at a time
const KEPT = 160; // pictures of 512 x 512: 1 MiB each

export class Tiles {
  /** @param {() => void} ready  called when a tile has come */
  constructor(ready) {
    this.ready = ready;
    /** In the order of their last use. @type {Map<string, ImageBitmap>} */
    this._kept = new Map();
    /** @type {Map<string, AbortController>} */
    this._loading = new Map();
    /** @type {Wanted[]} */
    this._waiting = [];
  }

  /**
   * The picture of a tile, if it is there.
   * @param {number} id
   * @param {{level: number, x: number, y: number}} tile
   * @returns {ImageBitmap | null}
   */
  get(id, tile) {
    return this._use(keyOf(id, tile));
  }

  /**
   * The small picture of a photo, if it is there.
   * @param {number} id
   * @returns {ImageBitmap | null}
   */
  thumb(id) {
    return this._use(`${id}`);
  }

  /**
   * What is to be loaded now, first things first. What was asked for before and is not among it is
   * given up.
   * @param {{id: number, tiles: readonly Tile[]}[]} wants
   */
  want(wants) {
    this._waiting = wants.flatMap(({ id, tiles }) => [
      { key: `${id}`, url: urls.thumb(id) },
      ...tiles.map((tile) => ({
        key: keyOf(id, tile),
        url: urls.tile(id, tile.level, tile.x, tile.y),
      })),
    ]);
    const wanted = new Set(this._waiting.map(({ key }) => key));
    for (const [key, control] of this._loading) if (!wanted.has(key)) control.abort();
    this._next();
  }

  /** Give everything up. */
  close() {
    this._waiting = [];
    for (const control of this._loading.values()) control.abort();
    for (const picture of this._kept.values()) picture.close();
    this._kept.clear();
  }

  /** @param {string} key */
  _use(key) {
    const picture = this._kept.get(key) ?? null;
    if (picture !== null) {
      this._kept.delete(key);
      this._kept.set(key, picture);
    }
    return picture;
  }

  _next() {
    while (this._loading.size < AT_ONCE && this._waiting.length > 0) {
      const { key, url } = /** @type {Wanted} */ (this._waiting.shift());
      if (!this._kept.has(key) && !this._loading.has(key)) void this._load(key, url);
    }
  }

  /**
   * @param {string} key
   * @param {string} url
   */
  async _load(key, url) {
    const control = new AbortController();
    this._loading.set(key, control);
    try {
      const response = await fetch(url, { signal: control.signal, credentials: "same-origin" });
      if (!response.ok) throw new Error(response.statusText);
      const picture = await createImageBitmap(await response.blob());
      if (control.signal.aborted) return picture.close();
      this._keep(key, picture);
      this.ready();
    } catch {
      // Given up, or not there: coarser tiles stay in its place, and it is asked for again when
      // the view moves.
    } finally {
      this._loading.delete(key);
      this._next();
    }
  }

  /**
   * @param {string} key
   * @param {ImageBitmap} picture
   */
  _keep(key, picture) {
    this._kept.set(key, picture);
    for (const [old, one] of this._kept) {
      if (this._kept.size <= KEPT) break;
      one.close();
      this._kept.delete(old);
    }
  }
}

/**
 * @param {number} id
 * @param {{level: number, x: number, y: number}} tile
 */
function keyOf(id, { level, x, y }) {
  return `${id}/${level}/${x}/${y}`;
}

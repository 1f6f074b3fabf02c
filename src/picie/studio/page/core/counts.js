/** How much of each photo each leaf covers, for sorting and shares. */

import { sharesOf } from "./shares.js";

/**
 * @typedef {Object} Sources
 * @property {() => Promise<ArrayBuffer>} counts
 * @property {() => Promise<ArrayBuffer>} doubts
 */

const WHOLE = 65535;
const LEAST_PAUSE = 2000; // ms between two requests, and longer if they are large

export class Counts {
  /**
   * @param {Sources} sources
   * @param {() => void} changed
   */
  constructor(sources, changed) {
    this.width = 0;
    /** @type {Uint16Array|null} */
    this._rows = null;
    /** @type {Float32Array|null} */
    this._doubts = null;
    /** @type {Float64Array|null} */
    this._totals = null;
    this._sources = sources;
    this._changed = changed;
    this._timer = 0;
    this._last = -Infinity;
    this._again = false;
    this._busy = false;
  }

  /** (N, `width`) shares, 65535 = the whole photo; null before they are known. */
  rows() {
    return this._rows;
  }

  /** (N,) doubt of each photo, NaN = unknown; null before they are known. */
  doubts() {
    return this._doubts;
  }

  /**
   * Whether a photo was counted: the row of one that was not is 65535 everywhere.
   * @param {number} id
   */
  ready(id) {
    const rows = this._rows;
    const start = id * this.width;
    if (rows === null || this.width === 0 || start + this.width > rows.length) return false;
    return !(rows[start] === WHOLE && (this.width === 1 || rows[start + 1] === WHOLE));
  }

  /**
   * Share of some leaves in a photo, 0..1; NaN for one that was not counted.
   * @param {number} id
   * @param {readonly number[]} leaves  those that have no counts count nothing
   */
  share(id, leaves) {
    if (!this.ready(id)) return NaN;
    const rows = /** @type {Uint16Array} */ (this._rows);
    let sum = 0;
    for (const leaf of leaves) if (leaf < this.width) sum += rows[id * this.width + leaf];
    return Math.min(1, sum / WHOLE);
  }

  /**
   * What the photos counted so far say of some leaves.
   * @param {readonly number[]} leaves
   * @returns {{share: number, photos: number}|null}  mean share 0..1, and the number of photos that
   *   show them; null before a photo is counted
   */
  summary(leaves) {
    if (this._rows === null) return null;
    const { photos, mean, found } = sharesOf(this._rows, this.width, [leaves]);
    return photos ? { share: mean[0], photos: found[0] } : null;
  }

  /** (P,) share of each leaf over all counted photos, 0..1; null before there is one. */
  totals() {
    if (this._totals !== null || this._rows === null || this.width === 0) return this._totals;
    const sums = new Float64Array(this.width);
    let photos = 0;
    for (let id = 0; id * this.width < this._rows.length; id += 1) {
      if (!this.ready(id)) continue;
      photos += 1;
      const start = id * this.width;
      for (let leaf = 0; leaf < this.width; leaf += 1) sums[leaf] += this._rows[start + leaf] / WHOLE;
    }
    if (photos) this._totals = sums.map((sum) => sum / photos);
    return this._totals;
  }

  /** Ask the server again, soon; requests that come close together become one. */
  refresh() {
    if (this._busy) {
      this._again = true;
      return;
    }
    if (this._timer) return;
    const pause = LEAST_PAUSE + (this._rows?.byteLength ?? 0) / 1000;
    const rest = Math.max(0, this._last + pause - performance.now());
    this._timer = Number(setTimeout(() => void this.load().catch(() => {}), rest));
  }

  /** Ask the server now. */
  async load() {
    clearTimeout(this._timer);
    this._timer = 0;
    this._busy = true;
    try {
      const [rows, doubts] = await Promise.all([this._sources.counts(), this._sources.doubts()]);
      this.put(new Uint16Array(rows), new Float32Array(doubts));
    } finally {
      this._busy = false;
      this._last = performance.now();
    }
    if (this._again) {
      this._again = false;
      this.refresh();
    }
  }

  /**
   * @param {Uint16Array} rows  (N, P), or (N, R) when strokes have moved the rows of the model
   * @param {Float32Array} doubts  (N,)
   */
  put(rows, doubts) {
    this.width = doubts.length ? rows.length / doubts.length : 0;
    this._rows = rows;
    this._doubts = doubts;
    this._totals = null;
    this._changed();
  }
}

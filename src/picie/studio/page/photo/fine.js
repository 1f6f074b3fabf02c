/**
 * Fine maps: the model's masks at their real boundaries, for the large view. One that is older than
 * the model is shown with the changes of the coarse map in it, until the new one has come.
 */

import { fine as fetchFine } from "../core/api.js";
import { enlarged, patched } from "./regions.js";

/**
 * @typedef {import("../core/types.js").LeafMap} LeafMap
 *
 * @typedef {Object} Entry
 * @property {LeafMap} map
 * @property {LeafMap | null} base  the coarse map of the same model
 * @property {Uint16Array | null} large  `base` at the size of the fine map
 * @property {LeafMap | null} after  the coarse map that `shown` follows
 * @property {LeafMap} shown
 */

const KEPT = 8; // up to 8 MiB each
const PAUSE = 500; // ms after the last change of the model: the next stroke goes first
const IDLE = 2000; // ms before maps of photos are made that come later

export class FineMaps {
  /**
   * @param {{get: (id: number) => LeafMap | null}} coarse
   * @param {(id: number) => void} ready  called when a map has come
   */
  constructor(coarse, ready) {
    this._coarse = coarse;
    this._ready = ready;
    /** In the order of their last use. @type {Map<number, Entry>} */
    this._kept = new Map();
    /** @type {Map<number, AbortController>} */
    this._loading = new Map();
    /** @type {number[]} */
    this._wanted = [];
    this._timer = 0;
    this._last = -IDLE; // time of the last change
  }

  /**
   * The best map of a photo that is here; null = none.
   * @param {number} id
   * @returns {LeafMap | null}
   */
  get(id) {
    const coarse = this._coarse.get(id);
    const entry = this._kept.get(id);
    if (entry === undefined) return coarse;
    this._kept.delete(id);
    this._kept.set(id, entry);
    if (coarse === null || coarse.version <= entry.map.version) {
      if (coarse?.version === entry.map.version && entry.base !== coarse) {
        [entry.base, entry.large] = [coarse, null];
      }
      return entry.map;
    }
    const { base } = entry;
    if (base === null || base.w !== coarse.w || base.h !== coarse.h) return coarse;
    if (entry.after !== coarse) {
      entry.after = coarse;
      entry.large ??= enlarged(base, entry.map);
      const data = patched(entry.map, entry.large, enlarged(coarse, entry.map));
      entry.shown = { ...coarse, w: entry.map.w, h: entry.map.h, data };
    }
    return entry.shown;
  }

  /**
   * The photos whose fine maps are needed, the most urgent first; this replaces what was said
   * before.
   * @param {readonly number[]} ids
   */
  want(ids) {
    this._wanted = ids.slice(0, KEPT);
    for (const [id, control] of this._loading) if (!ids.includes(id)) control.abort();
    this._pump();
  }

  /** The model changed or will change: wait until it has for a moment not changed again. */
  wait() {
    for (const control of this._loading.values()) control.abort();
    this._last = performance.now();
    this._pump();
  }

  close() {
    clearTimeout(this._timer);
    this._wanted = [];
    for (const control of this._loading.values()) control.abort();
  }

  /** @param {number} id */
  _missing(id) {
    const map = this._kept.get(id)?.map;
    const coarse = this._coarse.get(id);
    return map === undefined || (coarse !== null && coarse.version > map.version);
  }

  _pump() {
    clearTimeout(this._timer);
    const id = this._wanted.find((one) => this._missing(one)); // one at a time
    if (id === undefined || this._loading.size > 0) return;
    const pause = id === this._wanted[0] ? PAUSE : IDLE;
    const wait = this._last + pause - performance.now();
    if (wait > 0) this._timer = window.setTimeout(() => this._pump(), wait);
    else void this._load(id);
  }

  /** @param {number} id */
  async _load(id) {
    const control = new AbortController();
    this._loading.set(id, control);
    try {
      const map = await fetchFine(id, control.signal);
      if (map === null) this._wanted = this._wanted.filter((one) => one !== id);
      else this._keep(id, map);
      if (this._missing(id)) this._last = performance.now(); // the model went on meanwhile
    } catch {
      // Given up, or the server is busy: the coarse map serves as well.
      if (!control.signal.aborted) this._last = performance.now() + IDLE;
    } finally {
      this._loading.delete(id);
      this._pump();
    }
  }

  /**
   * @param {number} id
   * @param {LeafMap} map
   */
  _keep(id, map) {
    const coarse = this._coarse.get(id);
    const base = coarse !== null && coarse.version === map.version ? coarse : null;
    this._kept.delete(id);
    this._kept.set(id, { map, base, large: null, after: null, shown: map });
    while (this._kept.size > KEPT) {
      this._kept.delete(/** @type {number} */ (this._kept.keys().next().value));
    }
    this._ready(id);
  }
}

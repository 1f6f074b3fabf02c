/**
 * Leaf maps of photos: asked for as they come into view, kept for a while, and asked for again when
 * marks have changed the model. One request streams at a time; it is dropped when the view moves on.
 */

import { begin, end } from "./timing.js";

/** @typedef {import("./types.js").LeafMap} LeafMap */

/**
 * @typedef {Object} Running
 * @property {Set<number>} ids  that have not come yet
 * @property {AbortController} control
 * @property {number} since  ms
 *
 * @callback Fetch
 * @param {readonly number[]} ids
 * @param {(map: LeafMap|null, id: number) => void} each
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */

const MOST = 2000; // maps kept
const BATCH = 24; // photos in one request
const PATIENCE = 120; // ms until a request that is not for the most urgent photo is dropped
const RETRY = 1500; // ms

export class MapStore {
  /** @param {Fetch} fetch */
  constructor(fetch) {
    /** @type {Map<number, LeafMap>} */
    this._maps = new Map();
    /** @type {Map<number, LeafMap>} */
    this._previous = new Map();
    /** @type {Set<number>} */
    this.failed = new Set();
    this.version = 0;
    this._fetch = fetch;
    /** @type {Set<(ids: number[]) => void>} */
    this._listeners = new Set();
    /** @type {number[]} */
    this._wanted = [];
    /** @type {number[]} */
    this._first = [];
    /** @type {Running|null} */
    this._running = null;
    this._timer = 0;
  }

  /**
   * @param {number} id
   * @returns {LeafMap|null}  null = not here; it may be one of an older version while a new one comes
   */
  get(id) {
    return this._maps.get(id) ?? null;
  }

  /**
   * The map before the last change of the model; null if it is the same one.
   * @param {number} id
   * @returns {LeafMap|null}
   */
  previous(id) {
    return this._previous.get(id) ?? null;
  }

  /**
   * Say which maps are needed now, the most urgent first; this replaces what was said before.
   * @param {readonly number[]} ids
   */
  want(ids) {
    this._wanted = [...ids];
    this._pump();
  }

  /**
   * Ask for a photo before all others once, for example the one that was just marked.
   * @param {number} id
   */
  hurry(id) {
    this._first = [id, ...this._first.filter((one) => one !== id)].slice(0, 4);
    this._pump();
  }

  /**
   * The model changed: maps of older versions are shown until new ones are here.
   * @param {number} version
   * @param {boolean} [settles]  the same marks, fitted longer: what changed is still counted from
   *   before them
   */
  outdate(version, settles = false) {
    if (version === this.version) return;
    this.version = version;
    if (!settles) this._previous.clear();
    this.failed.clear();
    this._running?.control.abort();
    this._running = null;
    this._pump();
  }

  /** The next change counts from the maps as they are now. */
  forgetPrevious() {
    this._previous.clear();
  }

  /** Forget everything, for example because another model is open. */
  clear() {
    this._running?.control.abort();
    this._running = null;
    this._maps.clear();
    this._previous.clear();
    this.failed.clear();
  }

  /**
   * @param {(ids: number[]) => void} listener  told which maps have come
   * @returns {() => void}
   */
  on(listener) {
    this._listeners.add(listener);
    return () => this._listeners.delete(listener);
  }

  /** @param {number} id */
  _missing(id) {
    if (this.failed.has(id)) return false;
    return this._maps.get(id)?.version !== this.version;
  }

  _pump() {
    const missing = [...new Set([...this._first, ...this._wanted])].filter((id) => this._missing(id));
    if (this._running !== null && !this._isStale(this._running, missing)) return;
    this._running?.control.abort();
    this._running = null;
    if (!missing.length) return;
    void this._request(missing.slice(0, BATCH));
  }

  /**
   * Whether a request should be dropped for what is missing now: it has nothing of that, or it has
   * been slow and not the most urgent.
   * @param {Running} running
   * @param {number[]} missing
   */
  _isStale(running, missing) {
    if (!missing.length) return false;
    if (!missing.some((id) => running.ids.has(id))) return true;
    return !running.ids.has(missing[0]) && performance.now() - running.since > PATIENCE;
  }

  /** @param {number[]} ids */
  async _request(ids) {
    const running = { ids: new Set(ids), control: new AbortController(), since: performance.now() };
    this._running = running;
    begin("picie:maps");
    try {
      await this._fetch(ids, (map, id) => this._take(map, id, running.ids), running.control.signal);
    } catch {
      if (this._running !== running) return; // dropped, because the view moved on
      this._running = null;
      this._later();
      return;
    }
    if (this._running !== running) return;
    end("picie:maps");
    this._running = null;
    if (running.ids.size) this._later(); // the server ended early
    else this._pump();
  }

  _later() {
    clearTimeout(this._timer);
    this._timer = Number(setTimeout(() => this._pump(), RETRY));
  }

  /**
   * @param {LeafMap|null} map
   * @param {number} id
   * @param {Set<number>} open
   */
  _take(map, id, open) {
    open.delete(id);
    this._first = this._first.filter((one) => one !== id);
    if (map === null) this.failed.add(id);
    else this.put(map);
    for (const listener of this._listeners) listener([id]);
  }

  /** @param {LeafMap} map */
  put(map) {
    const old = this._maps.get(map.id);
    if (map.version > this.version) this.version = map.version;
    if (old && old.version < map.version && !this._previous.has(map.id)) {
      this._previous.set(map.id, old);
    }
    this._maps.delete(map.id);
    this._maps.set(map.id, map);
    while (this._maps.size > MOST) {
      const oldest = /** @type {number} */ (this._maps.keys().next().value);
      this._maps.delete(oldest);
      this._previous.delete(oldest);
    }
  }
}

/**
 * Acts on their way to the server: posted one by one in order, kept while it does not answer, and on
 * disk (localStorage) so that a page that dies loses none.
 */

import { ApiError, Gone } from "./api.js";

/** @typedef {import("./types.js").Act} Act */
/** @typedef {import("./types.js").ActAnswer} ActAnswer */

/**
 * @typedef {Object} Waiting
 * @property {Act} act
 * @property {string} key  the server takes an act with a key that it has seen for the same act
 * @property {(answer: ActAnswer) => void} done
 * @property {(error: Error) => void} failed
 *
 * @typedef {Object} Means
 * @property {(body: object) => Promise<ActAnswer>} post
 * @property {Pick<Storage, "getItem"|"setItem"|"removeItem">|null} storage
 * @property {(seconds: number) => Promise<void>} wait
 * @property {() => string} newKey
 */

const LONGEST = 5; // seconds between two attempts
const NOT_YET = new Set([401, 403, 502, 503, 504]); // it starts, or was started again

export class Outbox {
  /**
   * @param {string} page  id of this page
   * @param {Means} means
   */
  constructor(page, means) {
    this.page = page;
    /** @type {Waiting[]} */
    this.items = [];
    /** @type {(gone: boolean) => void} */
    this.onGone = () => {};
    /** @type {(item: Waiting, answer: ActAnswer) => void} */
    this.onAnswer = () => {};
    /** @type {(item: Waiting, error: Error) => void} */
    this.onRefused = () => {};
    this._means = means;
    this._key = "";
    this._running = false;
    this._wake = () => {};
  }

  /**
   * Keep acts under the name of a run from now on.
   * @param {string} run
   */
  keepFor(run) {
    this._key = `picie.acts.${run}.${this.page}`;
    this._keep();
  }

  /**
   * @param {Act} act
   * @param {string} [key]
   * @returns {Promise<ActAnswer>}
   */
  add(act, key = this._means.newKey()) {
    return new Promise((done, failed) => {
      this.items.push({ act, key, done, failed });
      this._keep();
      void this._run();
    });
  }

  /** Try again at once: something says that the server is back. */
  wake() {
    this._wake();
  }

  async _run() {
    if (this._running) return;
    this._running = true;
    let pause = 0.5;
    while (this.items.length) {
      const item = this.items[0];
      try {
        const answer = await this._means.post({ page: this.page, key: item.key, ...item.act });
        this._settle();
        pause = 0.5;
        this.onGone(false);
        this.onAnswer(item, answer);
        item.done(answer);
      } catch (error) {
        if (error instanceof Gone || (error instanceof ApiError && NOT_YET.has(error.status))) {
          this.onGone(true);
          const woken = new Promise((resolve) => {
            this._wake = () => resolve(undefined);
          });
          await Promise.race([this._means.wait(pause), woken]);
          pause = Math.min(LONGEST, pause * 2);
          continue;
        }
        const failure = error instanceof Error ? error : new Error(String(error));
        this._settle();
        this.onRefused(item, failure);
        item.failed(failure);
      }
    }
    this._running = false;
  }

  _settle() {
    this.items.shift();
    this._keep();
  }

  _keep() {
    const { storage } = this._means;
    if (storage === null || !this._key) return;
    try {
      if (!this.items.length) storage.removeItem(this._key);
      else storage.setItem(this._key, JSON.stringify(this.items.map(({ act, key }) => ({ act, key }))));
    } catch {
      // storage is full or forbidden: acts are still in memory
    }
  }
}

/**
 * Acts that pages which are gone have left behind, oldest page first; they are removed from storage.
 * @param {Storage} storage
 * @param {string} run
 * @param {(page: string) => Promise<boolean>} alive  whether a page is still open
 * @returns {Promise<{act: Act, key: string}[]>}
 */
export async function orphans(storage, run, alive) {
  const prefix = `picie.acts.${run}.`;
  const found = [];
  for (const name of Object.keys(storage)) {
    if (!name.startsWith(prefix) || (await alive(name.slice(prefix.length)))) continue;
    try {
      found.push(...JSON.parse(storage.getItem(name) ?? "[]"));
    } catch {
      // half a line is no act
    }
    storage.removeItem(name);
  }
  return found;
}

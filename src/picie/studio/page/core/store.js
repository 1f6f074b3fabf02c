/**
 * The one store of the page: what the server said (`data`), what this page looks at (`view`), and what
 * follows from both. Panels read it, listen with `on`, and change it with `look` and `act`.
 *
 * `data.state` is the last state of the server with the acts that are on their way applied to it, so
 * names and cuts show at once. An act that the server refuses disappears again, and `data.error` says
 * why. Acts that only the server can work out (marks, undo, redo) show when it has answered.
 */

import * as api from "./api.js";
import { NAMING, applied } from "./acts.js";
import { Counts } from "./counts.js";
import { groupsOf, leavesOf, movedLeaves, tableOf } from "./luts.js";
import { MapStore } from "./maps.js";
import { browser } from "./means.js";
import { Outbox } from "./outbox.js";
import { strings } from "./strings.js";
import { begin } from "./timing.js";
import { Tree } from "./tree.js";

/** @typedef {import("./means.js").Means} Means */
/** @typedef {import("./types.js").Act} Act */
/** @typedef {import("./types.js").ActAnswer} ActAnswer */
/** @typedef {import("./types.js").Data} Data */
/** @typedef {import("./types.js").Group} Group */
/** @typedef {import("./types.js").Job} Job */
/** @typedef {import("./types.js").LeafMap} LeafMap */
/** @typedef {import("./types.js").Listener} Listener */
/** @typedef {import("./types.js").Model} Model */
/** @typedef {import("./types.js").NamedClass} NamedClass */
/** @typedef {import("./types.js").Question} Question */
/** @typedef {import("./types.js").Scope} Scope */
/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").Status} Status */
/** @typedef {import("./types.js").Table} Table */
/** @typedef {import("./types.js").View} View */

/** States of a job, in their order; one that is over stays so. */
const STEPS = ["waiting", "running", "done", "failed", "cancelled"];

/** Acts whose effect may be out of sight, so that the status line says what was done. */
const TOLD = new Set(["undo", "redo", "clear", "rename", "unname"]);

export class Store {
  /** @param {Partial<Means>} [means]  in tests */
  constructor(means = {}) {
    this.means = /** @type {Means} */ ({ ...(means.frame ? {} : browser()), ...means });
    /** Id of this page in acts and events. */
    this.page = this.means.newKey();
    /** @type {Data} */
    this.data = {
      status: null, photos: null, model: null, state: null, progress: null, jobs: [], check: null,
      error: "", said: "", saving: "saved", gone: false,
    };
    /** @type {View} */
    this.view = {
      tab: "clusters", opacity: 0.55, outlines: false, only: null, glow: null, sort: "share",
      filter: "all", tile: 220, node: null, preview: null, changed: false, hidden: false,
      drawer: false, photo: null, tool: "segment", radius: 8, title: "",
    };
    /** The tree of the model. @type {Tree|null} */
    this.tree = null;
    this.maps = new MapStore((ids, each, signal) => this.means.maps(ids, each, signal));
    this.maps.on(() => this.changed("maps"));
    this.counts = new Counts(
      { counts: () => this.means.bytes("/api/counts"), doubts: () => this.means.bytes("/api/doubts") },
      () => this.changed("counts"),
    );
    /** The state before the last act; null before there was one. @type {State|null} */
    this.before = null;
    /** Photo of the last mark, whose map comes first. @type {number|null} */
    this.marked = null;
    /** @type {State|null} */
    this._base = null;
    this._problem = ""; // of names and history, as last told
    /** @type {Set<Listener>} */
    this._listeners = new Set();
    /** @type {Set<string>} */
    this._what = new Set();
    this._due = false;
    /** @type {Map<string, {from: unknown[], value: any}>} */
    this._memory = new Map();
    this.outbox = new Outbox(this.page, {
      post: (body) => this.means.post("/api/act", body),
      storage: this.means.storage,
      wait: (seconds) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds)),
      newKey: this.means.newKey,
    });
    this.outbox.onGone = (gone) => this.setGone(gone);
    this.outbox.onAnswer = (item, answer) => this._answered(item.act, answer);
    this.outbox.onRefused = (_, error) => this._refused(error);
  }

  /**
   * Listen to changes; they are told together, before the next repaint.
   * @param {Listener} listener
   * @returns {() => void}  stops it
   */
  on(listener) {
    this._listeners.add(listener);
    return () => this._listeners.delete(listener);
  }

  /**
   * Look at something else. A null closes it.
   * @param {Partial<View>} patch
   */
  look(patch) {
    const view = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (this.view));
    for (const [key, value] of Object.entries(patch)) {
      if (same(view[key], value)) continue;
      view[key] = value;
      this.changed(`view.${key}`);
    }
  }

  /**
   * Do something that goes into the log. Names show at once; the promise resolves when the server has
   * it on disk, and rejects if it refuses (the status line then says why already).
   * @param {Act} act
   * @returns {Promise<ActAnswer>}
   */
  act(act) {
    if (NAMING.has(act.act)) begin("picie:repaint");
    if ("photo" in act) {
      this.marked = act.photo;
      this.maps.hurry(act.photo);
    }
    const sent = this.outbox.add(act);
    sent.catch(() => {}); // `_refused` has said it
    this._keepBefore();
    this._fold();
    this._say({ saving: this.data.gone ? "waiting" : "saving", error: "", said: "" });
    return sent;
  }

  /** Take back the last act. */
  undo() {
    if (this.data.state?.undo !== null) return this.act({ act: "undo" });
    return Promise.resolve(null);
  }

  /** Bring back what was undone last. */
  redo() {
    if (this.data.state?.redo !== null) return this.act({ act: "redo" });
    return Promise.resolve(null);
  }

  /**
   * Show an error in the status line, until it is closed or an act works. That the server is gone or
   * starts shows by itself.
   * @param {unknown} error
   */
  fail(error) {
    if (error instanceof api.Gone) this.setGone(true);
    else if (error instanceof api.ApiError && error.status === 503) return; // it starts: asked again
    else this._say({ error: error instanceof Error ? error.message : String(error) });
  }

  /**
   * Show a sentence in the status line.
   * @param {string} text
   */
  say(text) {
    this._say({ said: text });
  }

  /** Classes, and clusters without a name. @returns {Group[]} */
  groups() {
    const { state, model } = this.data;
    const tree = this.tree;
    if (state === null || model === null || tree === null) return [];
    return this._remember("groups", [state, model], () => groupsOf(state, model, tree));
  }

  /** The same before the last act. @returns {Group[]} */
  groupsBefore() {
    const [state, model, tree] = [this.before, this.data.model, this.tree];
    if (state === null || model === null || tree === null) return this.groups();
    return this._remember("before", [state, model], () => groupsOf(state, model, tree));
  }

  /** How leaves are painted, as `view` wants it. @returns {Table} */
  table() {
    const { only, glow, preview, opacity, hidden, tab } = this.view;
    const node = tab === "clusters" ? this.view.node : null;
    const groups = this.groups();
    return this._remember("table", [groups, only, glow, preview, opacity, hidden, node], () =>
      this._table(groups, { only, glow, preview, opacity, hidden, node }),
    );
  }

  /** How leaves were painted before the last act; for what changed. @returns {Table} */
  tableBefore() {
    const groups = this.groupsBefore();
    const plain = { only: null, glow: null, preview: null, opacity: 1, hidden: false, node: null };
    return this._remember("table before", [groups], () => this._table(groups, plain));
  }

  /** Leaves whose class or cluster the last act changed. @returns {number[]} */
  moved() {
    const [before, after] = [this.groupsBefore(), this.groups()];
    return this._remember("moved", [before, after], () => movedLeaves(before, after));
  }

  /**
   * The leaves of a class or node.
   * @param {Scope} scope
   * @returns {readonly number[]}
   */
  leaves(scope) {
    return this.tree === null ? [] : leavesOf(scope, this.groups(), this.tree);
  }

  /**
   * The group of a leaf.
   * @param {number} leaf
   * @returns {Group|null}
   */
  groupOf(leaf) {
    const groups = this.groups();
    /** @type {Map<number, Group>} */
    const places = this._remember("groupOf", [groups], () =>
      new Map(groups.flatMap((group) => group.leaves.map((one) => [one, group]))),
    );
    return places.get(leaf) ?? null;
  }

  /** Number of rows R of the model, those of marks included. */
  get rows() {
    const least = (this.data.model?.centroids ?? 0) + (this.data.state?.extra.length ?? 0);
    const leaves = this.data.state?.classes.flatMap((one) => one.leaves) ?? [];
    return leaves.reduce((most, leaf) => Math.max(most, leaf + 1), least);
  }

  /**
   * Something in `data` was replaced.
   * @param {Partial<Data>} patch
   */
  put(patch) {
    for (const key of Object.keys(patch)) this.changed(key);
    Object.assign(this.data, patch);
  }

  /** @param {Model} model */
  putModel(model) {
    this.tree = new Tree(model.centroids, model.tree);
    this.put({ model });
  }

  /**
   * A state of the server, in an answer or asked for.
   * @param {State} state
   */
  putState(state) {
    if (this._base !== null && this._base.end !== state.end && !this.outbox.items.length) {
      this._keepBefore();
    }
    const problem = strings.status.problems(state.problems ?? []);
    if (problem && problem !== this._problem) this._say({ error: problem });
    this._problem = problem;
    this._base = state;
    this.putHead(state.head);
    this._fold();
  }

  /** @param {{version: number, state: string}} head */
  putHead(head) {
    this.maps.outdate(head.version, head.state === "settled");
    const state = this.data.state;
    if (state === null || this._base === null) return;
    const merged = { ...state.head, .../** @type {any} */ (head) };
    if (same(merged, state.head)) return;
    this._base = { ...this._base, head: merged };
    this.put({ state: { ...state, head: merged } });
  }

  /**
   * News of a job. The answer to a request may come after later news, so no job goes back to where it
   * was before.
   * @param {Job} job
   */
  putJob(job) {
    const known = this.data.jobs.find((one) => one.id === job.id);
    if (known && STEPS.indexOf(known.state) > STEPS.indexOf(job.state)) return;
    const others = this.data.jobs.filter((one) => one.id !== job.id);
    this.put({ jobs: [...others, job] });
  }

  /** @param {boolean} gone */
  setGone(gone) {
    const saving = gone && this.outbox.items.length ? "waiting" : gone ? this.data.saving : "saved";
    if (gone === this.data.gone) {
      if (gone) this._say({ saving });
      return;
    }
    this.put({ gone, saving });
    if (!gone) this.say(strings.status.back);
  }

  /**
   * Tell listeners that something changed.
   * @param {string} what
   */
  changed(what) {
    this._what.add(what);
    if (this._due) return;
    this._due = true;
    this.means.frame(() => this._tell());
  }

  _tell() {
    this._due = false;
    const what = this._what;
    this._what = new Set();
    for (const listener of [...this._listeners]) {
      try {
        listener(what);
      } catch (error) {
        console.error(error);
      }
    }
  }

  /** @param {Partial<Data>} patch */
  _say(patch) {
    const data = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (this.data));
    const changed = Object.entries(patch).filter(([key, value]) => data[key] !== value);
    if (changed.length) this.put(Object.fromEntries(changed));
  }

  /** The state as it is becomes that before the last act. */
  _keepBefore() {
    this.before = this.data.state;
    this.maps.forgetPrevious();
    this.changed("before");
  }

  /** The state of the server with the acts that are on their way. */
  _fold() {
    const [model, tree] = [this.data.model, this.tree];
    let state = this._base;
    if (state === null) return;
    if (model !== null && tree !== null) {
      const ranked = state.questions.every((one) => one.share !== null); // by the server
      const known = { model, tree, shares: ranked ? this.counts.totals() : null };
      for (const { act } of this.outbox.items) state = applied(state, act, known);
    }
    if (!same(state, this.data.state)) this.put({ state });
  }

  /**
   * @param {Act} act
   * @param {ActAnswer} answer
   */
  _answered(act, answer) {
    if (act.act === "undo" || act.act === "redo") this._keepBefore();
    this._base = answer.state;
    this.maps.outdate(answer.state.head.version, answer.state.head.state === "settled");
    this._fold();
    if (!this.outbox.items.length) this._say({ saving: "saved" });
    const last = answer.said.at(-1);
    if (last && TOLD.has(act.act)) this.say(strings.status.did(last));
  }

  /** @param {Error} error */
  _refused(error) {
    this._fold();
    this._say({ saving: this.outbox.items.length ? "saving" : "saved" });
    this.fail(error);
  }

  /**
   * @param {Group[]} groups
   * @param {import("./luts.js").Look} look
   * @returns {Table}
   */
  _table(groups, look) {
    return tableOf(groups, this.rows, this.tree ?? new Tree(0, []), look);
  }

  /**
   * @template T
   * @param {string} name
   * @param {unknown[]} from  it is made again when one of these differs
   * @param {() => T} make
   * @returns {T}
   */
  _remember(name, from, make) {
    const known = this._memory.get(name);
    if (known && known.from.every((one, place) => one === from[place])) return known.value;
    const value = make();
    this._memory.set(name, { from, value });
    return value;
  }
}

/**
 * Whether two plain values are equal.
 * @param {unknown} one
 * @param {unknown} other
 */
function same(one, other) {
  if (one === other) return true;
  if (typeof one !== "object" || typeof other !== "object" || !one || !other) return false;
  return JSON.stringify(one) === JSON.stringify(other);
}

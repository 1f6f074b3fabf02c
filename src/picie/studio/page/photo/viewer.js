/** The tab Photos: one photo with its mask, the tools that correct it, and the way to the next one. */

import { get } from "../core/api.js";
import { Chooser } from "./chooser.js";
import { el, say } from "../core/dom.js";
import { FineMaps } from "./fine.js";
import { listenToPointers } from "./gestures.js";
import { keptMask, tableOfKept } from "./kept.js";
import { MarkList } from "./marklist.js";
import { createPainter } from "../painting/painter.js";
import { PhotoHead } from "./photo_head.js";
import { PhotoTools } from "./photo_tools.js";
import { Queue, Strip, changedOf, sampleOf } from "./queue.js";
import { Stage } from "./stage.js";
import { strings } from "../core/strings.js";
import { Recent } from "../clusters/suggest.js";
import { Tiles } from "./tiles.js";
import { ClassPicker, IGNORE, MODES, ToolRail, ViewBar } from "./toolbar.js";
import { bindKeys } from "./viewer_keys.js";

/**
 * @typedef {import("./regions.js").Point} Point
 * @typedef {import("./shapes.js").Mark} Mark
 * @typedef {import("./stage.js").Mode} Mode
 * @typedef {import("./stage.js").PhotoInfo} PhotoInfo
 * @typedef {import("../core/store.js").Store} Store
 */

const LOOKED_AHEAD = 3; // photos made ready
const KEPT = 40; // answers about photos

/** What stays as it is while one looks at another tab. */
const memory = { queue: new Queue(), recent: new Recent(), mode: /** @type {Mode} */ ("one"), wipe: 0.5 };

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @returns {() => void}  unmounts it
 */
export function mount(root, store) {
  const viewer = new Viewer(store);
  root.append(viewer.root);
  viewer.start();
  return () => viewer.close();
}

export class Viewer {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.queue = memory.queue;
    /** @type {PhotoInfo|null} */
    this.photo = null;
    /** @type {Map<number, PhotoInfo>} */
    this._infos = new Map();
    this._version = -1; // of the model
    this._end = -1; // of the log, as the marks shown know it
    /** The accepted mask of the photo. @type {import("./kept.js").KeptMask|null} */
    this.kept = null;
    /** @type {{from: unknown[], table: import("../core/types.js").Table|null}} */
    this._keptTable = { from: [], table: null };
    /** Photos looked at for changes. @type {number[]} */
    this._looked = [];
    /** @type {{at: number, version: number, here: boolean}|null} */
    this._stroke = null;
    /** @type {number|null} */
    this._asked = null; // time at which another photo was asked for
    this.painter = createPainter();
    this.tiles = new Tiles(() => this.stage.again("photo"));
    this.fine = new FineMaps(store.maps, (id) => {
      if (id === this.photo?.id) this.repaint();
    });
    const means = {
      names: () => this.names(),
      slots: () => memory.recent.slots,
      colourOf: (/** @type {string} */ title) => this.colourOf(title),
    };
    this.chooser = new Chooser(means);
    this.stage = new Stage(this.painter, this.tiles, (ink, view, pane) =>
      this.tools.draw(ink, view, pane));
    this.tools = new PhotoTools(this);
    this.rail = new ToolRail(store);
    this.classes = new ClassPicker(store, { ...means, choose: (title) => this.choose(title) });
    this.bar = new ViewBar(store, {
      mode: (mode) => {
        this.setMode(mode);
        this.stage.field.focus({ preventScroll: true });
      },
      zoom: (factor) => this.stage.zoom(factor),
      fit: () => this.stage.fit(),
      actual: () => this.stage.zoom(1 / this.stage.view.scale),
    });
    this.marks = new MarkList({
      select: (id) => this.tools.select(id),
      remove: (id) => this.tools.remove(id),
      colourOf: means.colourOf,
    });
    this.strip = new Strip(store, this.painter, (id) => this.go(id));
    this.head = new PhotoHead({
      back: () => this.back(), next: () => void this.next(), accept: () => this.toggleAccepted(),
    });
    this.problem = el("p", { class: "photo-problem", role: "status", hidden: true });
    this.live = el("p", { class: "visually-hidden", "aria-live": "polite" });
    this.root = el("div", { class: "viewer" },
      this.rail.root,
      el("div", { class: "viewer-main" },
        this.bar.root,
        el("div", { class: "photo-place" },
          this.stage.root, this.chooser.root, this.problem, this.live),
        this.strip.root),
      el("div", { class: "viewer-side" }, this.head.root, this.classes.root, this.marks.root));
    /** @type {(() => void)[]} */
    this._ends = [];
  }

  start() {
    const { store, stage } = this;
    stage.wipe = memory.wipe;
    stage.onMask = () => this._masked();
    stage.onMove = () => {
      this.tools.changed();
      this._showBars();
    };
    this.setMode(memory.mode);
    this._ends.push(
      store.on((what) => this._changed(what)),
      listenToPointers(stage, this.tools.hand),
      bindKeys(this),
    );
    this.root.addEventListener("click", (event) => {
      // A pointer leaves the keys with the photo; who came by keys stays at the button.
      const tool = event.target instanceof Element && event.target.closest("button");
      if (event.detail > 0 && tool && !this.chooser.open) stage.field.focus({ preventScroll: true });
    });
    // Who came by a pointer works on with keys here; who came by keys stays where they are.
    if (!document.activeElement?.matches(":focus-visible")) stage.field.focus({ preventScroll: true });
    this._names();
    const { photo } = store.view;
    if (photo === null) void this.next();
    else this._open(photo);
    this.strip.show();
  }

  close() {
    memory.wipe = this.stage.wipe;
    for (const end of this._ends) end();
    this.stage.close();
    this.tiles.close();
    this.fine.close();
    this.painter.free();
    this.root.remove();
  }

  /** Names in use, those on keys first. */
  names() {
    const used = this.store.groups().map(({ title }) => title).filter((title) => title !== "");
    const rest = used.filter((title) => title !== IGNORE && !memory.recent.slots.includes(title));
    return [...memory.recent.slots, ...rest, IGNORE];
  }

  /** @param {string} title */
  colourOf(title) {
    const unknown = title === IGNORE ? "#8c8c8c" : "#f5d90a";
    return this.store.groups().find((group) => group.title === title)?.colour ?? unknown;
  }

  /** @param {string} title */
  choose(title) {
    if (title !== IGNORE) memory.recent.use(title);
    const { tool } = this.store.view;
    this.store.look({ title, ...(tool === "eraser" || tool === "pan" ? { tool: "brush" } : {}) });
    this.classes.show();
  }

  /** @param {number} place  0 = the first key */
  chooseSlot(place) {
    const title = memory.recent.slots[place];
    if (title === undefined) return false;
    this.choose(title);
    return true;
  }

  /** @param {Mode} mode */
  setMode(mode) {
    memory.mode = mode;
    this.stage.setMode(mode);
    this._showBars();
  }

  nextMode() {
    this.setMode(MODES[(MODES.indexOf(this.stage.mode) + 1) % MODES.length]);
  }

  /**
   * Open a photo that is not the next one.
   * @param {number} id
   */
  go(id) {
    const { photo } = this.store.view;
    if (photo !== null && photo !== id) this.queue.past.push(photo);
    this._asked = performance.now();
    this.store.look({ photo: id });
  }

  async next() {
    this._asked = performance.now();
    try {
      const id = await this.queue.next(this.store.view.photo);
      if (id !== null) this.store.look({ photo: id });
      else if (this.store.view.photo === null) this._openFirst();
      else this.store.say(strings.viewer.allSeen);
    } catch (error) {
      if (this.store.view.photo === null) this._openFirst(); // the order is not known yet
      else this.store.fail(error);
    }
  }

  back() {
    this._asked = performance.now();
    const id = this.queue.back(this.store.view.photo);
    if (id !== null) this.store.look({ photo: id });
  }

  get accepted() {
    const { state } = this.store.data;
    return this.photo !== null && (state?.accepted.includes(this.photo.id) ?? false);
  }

  /** Accept the mask and go on, or take that back. */
  toggleAccepted() {
    const { photo, store } = this;
    if (photo === null) return;
    if (!this.accepted) {
      if (!store.groups().some((group) => group.title !== "" && !group.ignore)) {
        store.fail(strings.viewer.noNames);
        return;
      }
      void store.act({ act: "accept", photo: photo.id }).catch(() => {});
      void this.next();
      return;
    }
    void this._refresh(photo.id).then(() => {
      const of = this._infos.get(photo.id)?.accept;
      if (of) void store.act({ act: "undo", of }).catch(() => {});
    });
  }

  /** A mark is on its way: how long until it shows? */
  timeStroke() {
    this.fine.wait();
    this._stroke = { at: performance.now(), version: this.store.maps.version, here: false };
  }

  /** The mask, as the store wants it painted. */
  repaint() {
    const { photo, store } = this;
    const id = photo?.id ?? -1;
    const changed = changedOf(store, id);
    const map = changed === null ? this.fine.get(id) : store.maps.get(id);
    const { outlines } = store.view;
    const kept = changed === null ? this._keptMask() : null;
    const mask = kept ??
      (map === null ? null : { map, table: store.table(), outlines, changed, titles: null });
    if (sameMask(mask, this.stage.mask)) return;
    this.tools.under.forget();
    this.stage.setMask(mask);
    this.stage.again("ink");
  }

  /** What was accepted of this photo, with what was drawn on it since; null = the model's mask. */
  _keptMask() {
    const { store, kept } = this;
    const { opacity, hidden, outlines, only, glow } = store.view;
    if (kept === null || !this.accepted || kept.map.id !== this.photo?.id || only || glow) return null;
    const from = [kept, store.groups(), opacity, hidden];
    if (!from.every((one, place) => one === this._keptTable.from[place])) {
      const table = tableOfKept(kept.titles, (title) => this.colourOf(title), hidden ? 0 : opacity);
      this._keptTable = { from, table };
    }
    const table = this._keptTable.table ?? store.table();
    return { map: kept.map, table, outlines, changed: null, titles: kept.titles };
  }

  /**
   * Ask again for the accepted mask. One that was accepted elsewhere has none here.
   * @param {number} id
   */
  async _refreshKept(id) {
    const kept = await keptMask(id).catch(() => null);
    if (this.photo?.id !== id) return;
    this.kept = kept;
    this.repaint();
  }

  /** Ask again for the marks of a photo. @param {number} id */
  async _refresh(id) {
    const end = this.store.data.state?.end ?? -1;
    try {
      const info = /** @type {PhotoInfo} */ (await get(`/api/photo/${id}`));
      this._infos.delete(id);
      this._infos.set(id, info);
      if (this._infos.size > KEPT) {
        this._infos.delete(/** @type {number} */ (this._infos.keys().next().value));
      }
      if (this.store.view.photo === id) {
        this._end = end;
        this._show(info);
        if (info.accepted) void this._refreshKept(id);
        else this.kept = null;
      }
      return info;
    } catch (error) {
      if (this.store.view.photo === id) this.store.fail(error);
      return null;
    }
  }

  _openFirst() {
    const count = this.store.data.photos?.names.length ?? 0;
    if (count > 0) this.store.look({ photo: 0 });
    this._problem(count > 0 ? "" : strings.viewer.none);
  }

  /** @param {number} id */
  _open(id) {
    this.tools.leave();
    const known = this._infos.get(id);
    if (known !== undefined) this._show(known);
    else this.head.show(this.store.data.photos?.names[id] ?? strings.viewer.opening, false);
    void this._refresh(id);
    this._ahead(id);
    this.queue.ask(id).then(() => this._ahead(id), () => {}); // the order may not be known yet
  }

  /**
   * Make ready what will be looked at next.
   * @param {number} id
   */
  _ahead(id) {
    if (this.store.view.photo !== id) return;
    const next = this.queue.ahead.slice(0, LOOKED_AHEAD);
    const strip = this.strip.found.map((one) => one.id);
    const total = this.store.data.photos?.names.length ?? 0;
    this._looked = sampleOf([id, ...strip, ...next, ...this.queue.past.slice(-4)], total);
    this.store.maps.want(this._looked);
    this.fine.want([id, ...next]);
    const ready = next.map((one) => this._infos.get(one)).filter((one) => one !== undefined);
    this.stage.ahead = ready;
    this.strip.next = this.queue.ahead;
    this.strip.show();
    this.stage.wantTiles();
    const missing = next.find((one) => !this._infos.has(one));
    if (missing === undefined) return;
    void this._refresh(missing).then((info) => {
      if (info !== null) this._ahead(id);
    });
  }

  /** @param {PhotoInfo} info */
  _show(info) {
    const other = info.id !== this.photo?.id;
    this.photo = info;
    this.tools.setPhoto(info, other);
    this._problem(info.problem ?? "");
    if (other) this.stage.show(info);
    this.repaint();
    this._showSide();
  }

  /** @param {string} text */
  _problem(text) {
    this.problem.hidden = text === "";
    say(this.problem, text);
  }

  /** @param {Set<string>} what */
  _changed(what) {
    const { view, data, maps } = this.store;
    if (what.has("view.photo") && view.photo !== null) this._open(view.photo);
    if (what.has("state")) {
      this._names();
      const end = data.state?.end ?? -1;
      if (view.photo !== null && end !== this._end && end !== -1) void this._refresh(view.photo);
      this._showSide();
    }
    if (what.has("maps") || what.has("state")) this._maps(maps.version);
    const paints = ["maps", "state", "model", "before", "view.opacity", "view.outlines", "view.only",
      "view.glow", "view.changed", "view.hidden", "view.preview"];
    if (paints.some((one) => what.has(one))) {
      this.repaint();
      if (what.has("maps")) this.strip.update(this._looked, view.photo);
      else this.strip.show();
      this._stripPainted();
    }
    if (["view.tool", "view.radius", "view.title"].some((one) => what.has(one))) {
      this.tools.changed();
      this.stage.again("ink");
    }
    this._showBars();
  }

  /** @param {number} version */
  _maps(version) {
    if (version === this._version) return;
    this._version = version;
    this.fine.wait();
  }

  _names() {
    const titles = this.store.groups().map(({ title }) => title);
    memory.recent.keep(titles.filter((title) => title !== "" && title !== IGNORE));
    this.classes.show();
  }

  /** The mask was painted: the time since the stroke, and since the photo was asked for. */
  _masked() {
    const { mask } = this.stage;
    if (this._stroke !== null && !this._stroke.here && mask !== null) {
      if (mask.map.version > this._stroke.version) {
        performance.measure("picie:stroke", { start: this._stroke.at });
        this._stroke.here = true;
      }
    }
    if (this._asked === null || mask?.map.id !== this.store.view.photo) return;
    performance.measure("picie:next", { start: this._asked });
    this._asked = null;
  }

  _stripPainted() {
    const stroke = this._stroke;
    if (stroke === null || !stroke.here || this.store.maps.version <= stroke.version) return;
    if (!this.strip.settled || this.strip.found.length === 0) return;
    performance.measure("picie:stroke:strip", { start: stroke.at });
    this._stroke = null;
  }

  _showBars() {
    this.rail.show(1);
    this.bar.show(this.stage.view.scale, this.stage.mode);
    this.classes.show();
    const { tool } = this.store.view;
    say(this.head.hint, this.accepted ? strings.viewer.acceptedHint : strings.viewer.hint[tool]);
    this.stage.field.dataset.tool = tool;
  }

  _showSide() {
    if (this.photo === null) return;
    this.head.show(this.photo.name, this.accepted);
    this.marks.show(this.tools.marks, this.tools.selected);
  }
}

/**
 * @param {import("./stage.js").Mask|null} one
 * @param {import("./stage.js").Mask|null} other
 */
function sameMask(one, other) {
  if (one === null || other === null) return one === other;
  return one.map === other.map && one.table === other.table && one.outlines === other.outlines &&
    one.changed?.map === other.changed?.map && one.changed?.table === other.changed?.table;
}

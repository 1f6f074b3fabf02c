/**
 * The wall of photos with their masks. It keeps elements only for the rows near what is seen, so a
 * folder of 10,000 photos costs what one of 50 does.
 */

import { urls } from "../core/api.js";
import { el, fill } from "../core/dom.js";
import { createPainter } from "../painting/painter.js";
import { strings } from "../core/strings.js";
import { Tile } from "./tile.js";
import { end } from "../core/timing.js";
import { WallBar, about } from "./wall_bar.js";
import { WallInput } from "./wall_input.js";
import { doubtful, grid, ordered, rowsIn } from "./wall_order.js";

/** @typedef {import("../core/store.js").Store} Store */

export const GAP = 8;
const BUDGET = 8; // ms of a frame for masks that are not seen yet
const SHOWN = 600; // ms in which one sees what an act did, before the photos change
const SETTLED = 120; // ms without scrolling until what is ahead is asked for
const ORDER = ["photos", "view.sort", "view.filter"];
const PAINT = [
  "state", "model", "before", "view.only", "view.glow", "view.preview", "view.node", "view.opacity",
  "view.hidden", "view.outlines", "view.changed", "view.tab", "maps",
];
const text = strings.wall;

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @returns {() => void}
 */
export function mount(root, store) {
  const wall = new Wall(store);
  fill(root, wall.root);
  wall.start();
  return () => {
    wall.stop();
    fill(root);
  };
}

export class Wall {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.painter = createPainter();
    /** @type {Tile[]} */
    this.tiles = [];
    /** @type {number[]} */
    this.order = [];
    this.current = 0; // place of the tile that Tab reaches
    this.aspect = 0; // width by height of tiles; 0 = to be taken from the first photos
    this._shapes = /** @type {number[]} */ ([]);
    this.grid = grid(800, 200, 4 / 3, GAP);
    this._doubtful = Infinity;
    this._shown = true;
    this._top = 0;
    this._timer = 0;
    this._frame = 0;
    this._soon = 0;
    this._acted = -Infinity;
    /** Thumbnails that are needed soon. @type {HTMLImageElement[]} */
    this._ahead = [];
    /** Places that are seen: first, and beyond the last. @type {[number, number]} */
    this._seen = [0, 0];
    this.bar = new WallBar(store);
    this.input = new WallInput(this);
    this.sizer = el("div", { class: "wall-sizer", role: "presentation" });
    this.empty = el("div", { class: "empty", hidden: true });
    this.hint = el("div", { class: "wall-hint", hidden: true, "aria-hidden": "true" });
    this.scroller = el(
      "div",
      { class: "wall-scroll", role: "listbox", "aria-label": text.label, "data-keys": "own" },
      this.sizer,
    );
    this.root = el("div", { class: "wall" }, this.bar.root, this.scroller, this.empty, this.hint);
    this._watch = new ResizeObserver(() => this.layout());
    /** @type {(() => void)[]} */
    this._offs = [];
  }

  start() {
    const { scroller } = this;
    this._watch.observe(scroller);
    scroller.addEventListener("scroll", () => this._scrolled(), { passive: true });
    this.input.listen(scroller);
    this._offs = [this.store.on((what) => this._changed(what))];
    this.sort();
  }

  stop() {
    for (const off of this._offs) off();
    this._watch.disconnect();
    cancelAnimationFrame(this._frame);
    this.painter.free();
  }

  /**
   * The tab of the wall was opened or left. Its place is kept.
   * @param {boolean} shown
   */
  show(shown) {
    if (shown === this._shown) return;
    if (!shown) this._top = this.scroller.scrollTop;
    this._shown = shown;
    if (!shown) {
      this.input.leave();
      return;
    }
    this.layout();
    this.scroller.scrollTop = this._top;
    this.update();
  }

  /** @param {Set<string>} what */
  _changed(what) {
    if (!this._shown) return;
    const has = (/** @type {string[]} */ keys) => keys.some((key) => what.has(key));
    if (what.size > 1 || !what.has("maps")) this.bar.render();
    if (what.has("view.tile")) this.layout();
    const follows = this.store.view.sort === "share" || this.store.view.filter === "with";
    const other = follows && has(["view.node", "view.only"]);
    if (what.has("before")) this._acted = performance.now();
    if (other && performance.now() - this._acted < 250) this._sortSoon();
    else if (has(ORDER) || other || (what.has("counts") && this._mayReorder())) this.sort();
    else if (this.store.view.filter !== "all" && has(["state", "before"])) this.sort();
    if (has(["state", "counts", "maps", "photos"])) this._tellAll();
    if (has(PAINT)) this.paint();
  }

  /**
   * The next question after an act: first one sees what the act did, then the photos of the next
   * question, which are asked for meanwhile.
   */
  _sortSoon() {
    clearTimeout(this._soon);
    const { columns, step } = this.grid;
    const first = Math.floor(this.scroller.scrollTop / step) * columns;
    const seen = this._ordered().slice(first, first + this._seen[1] - this._seen[0]);
    this.store.maps.want([...this.order.slice(...this._seen), ...seen]);
    this._ahead = seen.map((id) => {
      const image = new Image();
      image.src = urls.thumb(id);
      return image;
    });
    this._soon = window.setTimeout(() => {
      this.sort();
      this._ahead = [];
    }, SHOWN);
  }

  /** New counts change the order only while nobody looks closely. */
  _mayReorder() {
    return !this.scroller.matches(":hover, :focus-within") && this.scroller.scrollTop < this.grid.step;
  }

  /** Put the photos in order. The scroll position stays. */
  sort() {
    const { data, counts } = this.store;
    clearTimeout(this._soon);
    this.order = this._ordered();
    this._doubtful = doubtful(counts.doubts());
    this.current = Math.min(this.current, Math.max(0, this.order.length - 1));
    this.bar.tell(this.order.length, data.photos?.names.length ?? 0);
    this._showEmpty();
    this.layout();
  }

  /** @returns {number[]} */
  _ordered() {
    const { data, view, counts } = this.store;
    const scope = about(this.store);
    const leaves = scope === null ? [] : this.store.leaves(scope);
    const moved = view.filter === "changed" ? this.store.moved() : [];
    return ordered(data.photos?.names.length ?? 0, view.sort, view.filter, {
      times: data.photos?.times ?? [],
      doubts: counts.doubts(),
      share: (id) => (scope === null ? NaN : counts.share(id, leaves)),
      changed: (id) => this.store.maps.previous(id) !== null || counts.share(id, moved) > 0,
      touched: data.state?.touched ?? {},
      accepted: data.state?.accepted ?? [],
    });
  }

  _showEmpty() {
    const { data, view } = this.store;
    const none = data.photos !== null && !this.order.length;
    this.empty.hidden = !none;
    if (!none) return;
    const all = el("button", { type: "button", on: { click: () => this.store.look({ filter: "all" }) } }, text.showAll);
    fill(this.empty, el("p", {}, text.none[view.filter]), view.filter === "all" ? null : all);
  }

  /** Measure, and place the tiles. */
  layout() {
    const width = this.scroller.clientWidth - 2 * GAP;
    if (width <= 0) return;
    this.grid = grid(width, this.store.view.tile, this.aspect || 4 / 3, GAP);
    const rows = Math.ceil(this.order.length / this.grid.columns);
    this.sizer.style.height = `${Math.max(0, rows * this.grid.step - GAP)}px`;
    this.update();
  }

  /** Give elements to the rows near what is seen. Photos that have one keep it. */
  update() {
    const { columns, width, height, step } = this.grid;
    const total = this.order.length;
    const { scrollTop, clientHeight } = this.scroller;
    const near = rowsIn(scrollTop, clientHeight, step, Math.ceil(total / columns));
    const first = near.first * columns;
    const last = Math.min(total, near.last * columns);
    const tiles = this._assign(this.order.slice(first, last));
    tiles.forEach((tile, index) => {
      const place = first + index;
      const fresh = tile.put(this.order[place], place, total);
      tile.move((place % columns) * (width + GAP), Math.floor(place / columns) * step, { width, height });
      if (fresh) this._tell(tile);
    });
    this._seen = [near.seenFirst * columns, Math.min(total, near.seenLast * columns)];
    this._want(...this._seen, last);
    this.paint();
  }

  /**
   * A tile for each photo; the others rest.
   * @param {number[]} ids
   * @returns {Tile[]}
   */
  _assign(ids) {
    const wanted = new Set(ids);
    const known = new Map(this.tiles.filter((one) => wanted.has(one.id)).map((one) => [one.id, one]));
    const free = this.tiles.filter((one) => !wanted.has(one.id));
    const tiles = ids.map((id) => known.get(id) ?? free.pop() ?? this._made());
    for (const tile of free) tile.rest();
    return tiles;
  }

  /** @returns {Tile} */
  _made() {
    const tile = new Tile();
    tile.onShape = () => this._shaped(tile);
    this.tiles.push(tile);
    this.sizer.append(tile.root);
    return tile;
  }

  /** What all tiles say. */
  _tellAll() {
    for (const tile of this.tiles) if (tile.place >= 0) this._tell(tile);
  }

  /** @param {Tile} tile */
  _tell(tile) {
    const { data, counts, maps } = this.store;
    tile.tell({
      name: data.photos?.names[tile.id] ?? "",
      accepted: data.state?.accepted.includes(tile.id) ?? false,
      marks: data.state?.touched[tile.id] ?? 0,
      doubtful: (counts.doubts()?.[tile.id] ?? -Infinity) >= this._doubtful,
      unreadable: maps.failed.has(tile.id),
      current: tile.place === this.current,
    });
  }

  /**
   * Ask for the maps of what is seen, and then of what is ahead.
   * @param {number} first
   * @param {number} last
   * @param {number} ahead
   */
  _want(first, last, ahead) {
    if (this.store.data.state === null) return;
    clearTimeout(this._timer);
    const seen = this.order.slice(first, last);
    this.store.maps.want(seen);
    this._timer = window.setTimeout(() => {
      this.store.maps.want([...seen, ...this.order.slice(last, ahead)]);
    }, SETTLED);
  }

  /** Paint the masks that are seen now, and those near them in the frames that follow. */
  paint() {
    const { data } = this.store;
    if (data.state === null || data.model === null) return;
    const [first, last] = this._seen;
    for (const tile of this.tiles) if (tile.place >= first && tile.place < last) this._paint(tile);
    end("picie:repaint");
    end("picie:glow");
    if (this._frame) return;
    this._frame = requestAnimationFrame(() => this._paintRest());
  }

  /** Those that are painted already cost nothing. */
  _paintRest() {
    this._frame = 0;
    const until = performance.now() + BUDGET;
    for (const tile of this.tiles) {
      if (performance.now() > until) {
        this._frame = requestAnimationFrame(() => this._paintRest());
        return;
      }
      if (tile.place >= 0) this._paint(tile);
    }
  }

  /** @param {Tile} tile */
  _paint(tile) {
    const { view, maps } = this.store;
    const map = maps.get(tile.id);
    const old = view.changed ? this.store.tableBefore() : null;
    const changed = old === null || map === null ? null : { map: maps.previous(tile.id) ?? map, table: old };
    tile.paint(this.painter, map, this.store.table(), { outlines: view.outlines, changed });
  }

  /** @param {Tile} tile */
  _shaped(tile) {
    if (!this.aspect) {
      this._shapes.push(tile.shape);
      const enough = Math.min(this.order.length, 6);
      if (this._shapes.length >= enough) {
        const sorted = this._shapes.sort((a, b) => a - b);
        this.aspect = Math.min(2.4, Math.max(0.5, sorted[Math.floor(sorted.length / 2)]));
        this.layout();
        return;
      }
    }
    this.paint();
  }

  _scrolled() {
    if (this._shown) this.update();
  }

  /**
   * Make a place the current one.
   * @param {number} place
   * @param {boolean} focus  and go there
   */
  go(place, focus) {
    this.current = place;
    if (focus) {
      const { columns, step, height } = this.grid;
      const top = Math.floor(place / columns) * step;
      const { scrollTop, clientHeight } = this.scroller;
      if (top < scrollTop) this.scroller.scrollTop = top;
      else if (top + height + 2 * GAP > scrollTop + clientHeight) {
        this.scroller.scrollTop = top + height + 2 * GAP - clientHeight;
      }
      this.update();
      this._tellAll();
      this.tiles.find((tile) => tile.place === place)?.root.focus({ preventScroll: true });
      return;
    }
    this._tellAll();
  }
}

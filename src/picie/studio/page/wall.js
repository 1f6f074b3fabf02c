/**
 * The wall of photos with their masks. It keeps elements only for the rows near what is seen, so a
 * folder of 10,000 photos costs what one of 50 does.
 */

import { el, fill, say } from "./dom.js";
import { createPainter } from "./painter.js";
import { strings } from "./strings.js";
import { Tile } from "./tile.js";
import { begin, end } from "./timing.js";
import { leafAt } from "./votes.js";
import { WallBar, about } from "./wall_bar.js";
import { doubtful, grid, ordered, rowsIn } from "./wall_order.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./types.js").Group} Group */
/** @typedef {import("./types.js").LeafMap} LeafMap */
/** @typedef {import("./types.js").Scope} Scope */

const GAP = 8;
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
    this._grid = grid(800, 200, 4 / 3, GAP);
    this._doubtful = Infinity;
    this._glowing = "";
    this._shown = true;
    this._top = 0;
    this._timer = 0;
    this.bar = new WallBar(store);
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
    scroller.addEventListener("pointermove", (event) => this._point(event));
    scroller.addEventListener("pointerleave", () => this._leave());
    scroller.addEventListener("click", (event) => this._click(event));
    scroller.addEventListener("dblclick", (event) => this._open(this._tileOf(event)));
    scroller.addEventListener("keydown", (event) => this._key(event));
    scroller.addEventListener("focusin", (event) => this._focused(event));
    this._offs = [this.store.on((what) => this._changed(what))];
    this.sort();
  }

  stop() {
    for (const off of this._offs) off();
    this._watch.disconnect();
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
      this._leave();
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
    if (has(ORDER) || other || (what.has("counts") && this._mayReorder())) this.sort();
    else if (this.store.view.filter !== "all" && has(["state", "before"])) this.sort();
    if (has(["state", "counts", "maps", "photos"])) this._tellAll();
    if (has(PAINT)) this.paint();
  }

  /** New counts change the order only while nobody looks closely. */
  _mayReorder() {
    return !this.scroller.matches(":hover, :focus-within") && this.scroller.scrollTop < this._grid.step;
  }

  /** Put the photos in order. The scroll position stays. */
  sort() {
    const { data, view, counts } = this.store;
    const scope = about(this.store);
    const leaves = scope === null ? [] : this.store.leaves(scope);
    const moved = view.filter === "changed" ? this.store.moved() : [];
    this.order = ordered(data.photos?.names.length ?? 0, view.sort, view.filter, {
      times: data.photos?.times ?? [],
      doubts: counts.doubts(),
      share: (id) => (scope === null ? NaN : counts.share(id, leaves)),
      changed: (id) => this.store.maps.previous(id) !== null || counts.share(id, moved) > 0,
      touched: data.state?.touched ?? {},
      accepted: data.state?.accepted ?? [],
    });
    this._doubtful = doubtful(counts.doubts());
    this.current = Math.min(this.current, Math.max(0, this.order.length - 1));
    this.bar.tell(this.order.length, data.photos?.names.length ?? 0);
    this._showEmpty();
    this.layout();
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
    this._grid = grid(width, this.store.view.tile, this.aspect || 4 / 3, GAP);
    const rows = Math.ceil(this.order.length / this._grid.columns);
    this.sizer.style.height = `${Math.max(0, rows * this._grid.step - GAP)}px`;
    this.update();
  }

  /** Give elements to the rows near what is seen. Photos that have one keep it. */
  update() {
    const { columns, width, height, step } = this._grid;
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
    this._want(near.seenFirst * columns, Math.min(total, near.seenLast * columns), last);
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

  /** Paint the masks of all tiles; those that are painted already cost nothing. */
  paint() {
    const { data, view, maps } = this.store;
    if (data.state === null || data.model === null) return;
    const table = this.store.table();
    const old = view.changed ? this.store.tableBefore() : null;
    for (const tile of this.tiles) {
      if (tile.place < 0) continue;
      const map = maps.get(tile.id);
      const changed = old === null || map === null ? null : { map: maps.previous(tile.id) ?? map, table: old };
      tile.paint(this.painter, map, table, { outlines: view.outlines, changed });
    }
    end("picie:repaint");
    end("picie:glow");
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
   * @param {Event} event
   * @returns {Tile|null}
   */
  _tileOf(event) {
    const root = event.target instanceof Element ? event.target.closest(".tile") : null;
    return root === null ? null : (this.tiles.find((tile) => tile.root === root) ?? null);
  }

  /**
   * The leaf under the pointer.
   * @param {MouseEvent} event
   * @returns {number}  -1 = none
   */
  _leafAt(event) {
    const tile = this._tileOf(event);
    const at = tile?.at(event.clientX, event.clientY) ?? null;
    const map = tile === null ? null : this.store.maps.get(tile.id);
    if (at === null || map === null || this.store.data.state === null) return -1;
    return leafAt(map, this.store.table().keys, at.x, at.y);
  }

  /** @param {PointerEvent} event */
  _point(event) {
    if (event.pointerType === "touch") return;
    const group = this.store.groupOf(this._leafAt(event));
    this.hint.hidden = group === null;
    if (group !== null) {
      say(this.hint, group.title || text.cluster(group.node));
      const box = this.root.getBoundingClientRect();
      const x = Math.min(event.clientX - box.left + 14, box.width - this.hint.offsetWidth - 8);
      this.hint.style.transform = `translate(${x}px, ${event.clientY - box.top + 18}px)`;
      this.hint.style.setProperty("--swatch", group.colour);
    }
    const key = group?.key ?? "";
    if (key === this._glowing) return;
    this._glowing = key;
    begin("picie:glow");
    this.store.look({ glow: group === null ? null : scopeOf(group) });
  }

  _leave() {
    this.hint.hidden = true;
    if (!this._glowing) return;
    this._glowing = "";
    this.store.look({ glow: null });
  }

  /** @param {MouseEvent} event */
  _click(event) {
    const tile = this._tileOf(event);
    if (tile !== null) this._go(tile.place, false);
    const leaf = this._leafAt(event);
    const node = nodeOf(this.store, leaf);
    if (node !== null) this.store.look({ node, drawer: true });
  }

  /** @param {Tile|null} tile */
  _open(tile) {
    if (tile !== null) this.store.look({ photo: tile.id, tab: "photos" });
  }

  /** @param {FocusEvent} event */
  _focused(event) {
    const tile = this._tileOf(event);
    if (tile !== null && tile.place !== this.current) this._go(tile.place, false);
  }

  /** @param {KeyboardEvent} event */
  _key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { columns, step } = this._grid;
    const page = columns * Math.max(1, Math.floor(this.scroller.clientHeight / step));
    const last = this.order.length - 1;
    /** @type {Record<string, number>} */
    const steps = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -page,
      PageDown: page, Home: -last, End: last,
    };
    if (event.key === "Enter") this._open(this._tileOf(event));
    else if (event.key in steps) {
      const place = this.current + steps[event.key];
      const far = Math.abs(steps[event.key]) > columns;
      if (place >= 0 && place <= last) this._go(place, true);
      else if (far) this._go(Math.min(last, Math.max(0, place)), true);
    } else return;
    event.preventDefault();
  }

  /**
   * Make a place the current one.
   * @param {number} place
   * @param {boolean} focus  and go there
   */
  _go(place, focus) {
    this.current = place;
    if (focus) {
      const { columns, step, height } = this._grid;
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

/**
 * @param {Group} group
 * @returns {Scope}
 */
function scopeOf(group) {
  return group.title ? { name: group.title } : { node: group.node };
}

/**
 * The node to ask about when a leaf was pointed at: the part of its class or cluster that has it.
 * @param {Store} store
 * @param {number} leaf
 * @returns {number|null}
 */
export function nodeOf(store, leaf) {
  const group = store.groupOf(leaf);
  const tree = store.tree;
  if (group === null || tree === null || leaf >= tree.count) return null;
  if (!group.title) return group.node;
  const nodes = store.data.state?.classes.find((one) => one.name === group.title)?.nodes ?? [];
  return nodes.find((node) => tree.members[node]?.includes(leaf)) ?? group.node;
}

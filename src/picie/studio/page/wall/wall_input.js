/** What a person does on the wall: pointing, clicking, and keys. */

import { say } from "../core/dom.js";
import { strings } from "../core/strings.js";
import { begin } from "../core/timing.js";
import { leafAt } from "../painting/votes.js";

/** @typedef {import("../core/store.js").Store} Store */
/** @typedef {import("./tile.js").Tile} Tile */
/** @typedef {import("../core/types.js").Group} Group */
/** @typedef {import("../core/types.js").Scope} Scope */
/** @typedef {import("./wall.js").Wall} Wall */

const text = strings.wall;

export class WallInput {
  /** @param {Wall} wall */
  constructor(wall) {
    this.wall = wall;
    this._glowing = "";
  }

  /** @param {HTMLElement} scroller */
  listen(scroller) {
    scroller.addEventListener("pointermove", (event) => this._point(event));
    scroller.addEventListener("pointerleave", () => this.leave());
    scroller.addEventListener("click", (event) => this._click(event));
    scroller.addEventListener("dblclick", (event) => this._open(this._tileOf(event)));
    scroller.addEventListener("keydown", (event) => this._key(event));
    scroller.addEventListener("focusin", (event) => this._focused(event));
  }

  /**
   * @param {Event} event
   * @returns {Tile|null}
   */
  _tileOf(event) {
    const root = event.target instanceof Element ? event.target.closest(".tile") : null;
    return root === null ? null : (this.wall.tiles.find((tile) => tile.root === root) ?? null);
  }

  /**
   * The leaf under the pointer.
   * @param {MouseEvent} event
   * @returns {number}  -1 = none
   */
  _leafAt(event) {
    const tile = this._tileOf(event);
    const at = tile?.at(event.clientX, event.clientY) ?? null;
    const map = tile === null ? null : this.wall.store.maps.get(tile.id);
    if (at === null || map === null || this.wall.store.data.state === null) return -1;
    return leafAt(map, this.wall.store.table().keys, at.x, at.y);
  }

  /** @param {PointerEvent} event */
  _point(event) {
    if (event.pointerType === "touch") return;
    const group = this.wall.store.groupOf(this._leafAt(event));
    this.wall.hint.hidden = group === null;
    if (group !== null) {
      say(this.wall.hint, group.title || text.cluster(group.node));
      const box = this.wall.root.getBoundingClientRect();
      const x = Math.min(event.clientX - box.left + 14, box.width - this.wall.hint.offsetWidth - 8);
      this.wall.hint.style.transform = `translate(${x}px, ${event.clientY - box.top + 18}px)`;
      this.wall.hint.style.setProperty("--swatch", group.colour);
    }
    const key = group?.key ?? "";
    if (key === this._glowing) return;
    this._glowing = key;
    begin("picie:glow");
    this.wall.store.look({ glow: group === null ? null : scopeOf(group) });
  }

  leave() {
    this.wall.hint.hidden = true;
    if (!this._glowing) return;
    this._glowing = "";
    this.wall.store.look({ glow: null });
  }

  /** @param {MouseEvent} event */
  _click(event) {
    const tile = this._tileOf(event);
    if (tile !== null) this.wall.go(tile.place, false);
    const leaf = this._leafAt(event);
    const node = nodeOf(this.wall.store, leaf);
    if (node !== null) this.wall.store.look({ node, drawer: true });
  }

  /** @param {Tile|null} tile */
  _open(tile) {
    if (tile !== null) this.wall.store.look({ photo: tile.id, tab: "photos" });
  }

  /** @param {FocusEvent} event */
  _focused(event) {
    const tile = this._tileOf(event);
    if (tile !== null && tile.place !== this.wall.current) this.wall.go(tile.place, false);
  }

  /** @param {KeyboardEvent} event */
  _key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { columns, step } = this.wall.grid;
    const page = columns * Math.max(1, Math.floor(this.wall.scroller.clientHeight / step));
    const last = this.wall.order.length - 1;
    /** @type {Record<string, number>} */
    const steps = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -page,
      PageDown: page, Home: -last, End: last,
    };
    if (event.key === "Enter") this._open(this._tileOf(event));
    else if (event.key in steps) {
      const place = this.wall.current + steps[event.key];
      const far = Math.abs(steps[event.key]) > columns;
      if (place >= 0 && place <= last) this.wall.go(place, true);
      else if (far) this.wall.go(Math.min(last, Math.max(0, place)), true);
    } else return;
    event.preventDefault();
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

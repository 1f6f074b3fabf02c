/** What is under a place of the photo: class, node, and the region that hangs together there. */

import { drawRings } from "./marks.js";
import { floodFill, keysOf, traceRings } from "./regions.js";

/**
 * @typedef {import("./regions.js").Point} Point
 * @typedef {import("./regions.js").Region} Region
 * @typedef {import("../core/types.js").LeafMap} LeafMap
 *
 * @typedef {Object} Shown
 * @property {Region} region
 * @property {Point[][]} rings  in cells
 */

export class Under {
  /** @param {import("./viewer.js").Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    /** The region stays as it is, because it is asked about. */
    this.held = false;
    /** @type {Shown|null} */
    this._region = null;
  }

  /** The map or its classes changed. */
  forget() {
    if (!this.held) this._region = null;
  }

  /** The region is no longer asked about. */
  release() {
    this.held = false;
    this._region = null;
  }

  /**
   * The leaf that is shown at a place; -1 = outside, the mask is not there, or it is an accepted one,
   * which has classes alone.
   * @param {Point} place
   */
  leafAt(place) {
    const { map, cell } = this._cellAt(place);
    const leaves = this.viewer.stage.mask?.titles === null;
    return map === null || cell < 0 || !leaves ? -1 : map.data[cell];
  }

  /**
   * The class at a place, "" for a cluster without a name; null = outside, or no mask is there.
   * @param {Point} place
   */
  titleAt(place) {
    const { map, cell } = this._cellAt(place);
    if (map === null || cell < 0) return null;
    const titles = this.viewer.stage.mask?.titles ?? null;
    const number = map.data[cell];
    return titles === null ? (this.viewer.store.groupOf(number)?.title ?? null) : (titles[number] ?? "");
  }

  /**
   * The node to name everywhere: that of the class, or of the cluster at this cut, whichever is
   * smaller; null for a class that only marks have.
   * @param {number} leaf
   */
  nodeOf(leaf) {
    const { tree, data } = this.viewer.store;
    if (tree === null || data.state === null || leaf < 0 || leaf >= tree.count) return null;
    const cluster = tree.cut(data.state.clusters).find((leaves) => leaves.includes(leaf)) ?? [leaf];
    const nodes = [
      ...data.state.classes.flatMap((one) => one.nodes),
      ...tree.cover(cluster),
    ].filter((node) => tree.members[node].includes(leaf));
    const group = this.viewer.store.groupOf(leaf);
    if (group !== null && group.title === "") nodes.push(group.node);
    return nodes.reduce((a, b) => (tree.members[b].length < tree.members[a].length ? b : a));
  }

  /**
   * @param {Point} place
   * @returns {Shown|null}
   */
  regionAt(place) {
    if (this.held) return this._region;
    const { map, cell } = this._cellAt(place);
    if (map === null || cell < 0) {
      this._region = null;
    } else if (this._region === null || this._region.region.inside[cell] !== 1) {
      const { store } = this.viewer;
      const accepted = this.viewer.stage.mask?.titles ?? null;
      const keys = accepted === null ? keysOf(store.groups(), store.rows) : accepted.map((_, n) => n);
      const region = floodFill(map, keys, cell % map.w, Math.floor(cell / map.w));
      this._region = { region, rings: traceRings(region) };
    }
    return this._region;
  }

  /**
   * Outline the region at a place.
   * @param {CanvasRenderingContext2D} ink
   * @param {import("./view_transform.js").View} view
   * @param {Point} place
   */
  draw(ink, view, place) {
    const { photo } = this.viewer;
    const shown = this.regionAt(place);
    if (shown === null || photo === null) return;
    const { region, rings } = shown;
    const [across, down] = [photo.width / region.width, photo.height / region.height];
    const scaled = rings.map((ring) => ring.map(([x, y]) => /** @type {Point} */ ([x * across, y * down])));
    drawRings(ink, view, scaled, { colour: "#ffffff", fill: this.held ? 0.25 : 0.12 });
  }

  /**
   * The map that is shown, and its cell at a place; -1 = outside.
   * @param {Point} place
   * @returns {{map: LeafMap|null, cell: number}}
   */
  _cellAt([x, y]) {
    const { photo } = this.viewer;
    const map = this.viewer.stage.mask?.map ?? null;
    if (photo === null || map === null || map.id !== photo.id) return { map: null, cell: -1 };
    const column = Math.floor((x / photo.width) * map.w);
    const row = Math.floor((y / photo.height) * map.h);
    const inside = x >= 0 && y >= 0 && x <= photo.width && y <= photo.height;
    const cell = Math.min(row, map.h - 1) * map.w + Math.min(column, map.w - 1);
    return { map, cell: inside ? cell : -1 };
  }
}

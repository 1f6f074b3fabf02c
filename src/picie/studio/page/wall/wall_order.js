/** Which photos the wall shows, and in which order. Pure. */

import { LEAST_SHARE } from "../core/shares.js";

/** @typedef {import("../core/types.js").Filter} Filter */
/** @typedef {import("../core/types.js").Sort} Sort */

/**
 * @typedef {Object} Known
 * @property {readonly number[]} times
 * @property {ArrayLike<number>|null} doubts
 * @property {(id: number) => number} share  of what the wall is about, 0..1; NaN = unknown
 * @property {(id: number) => boolean} changed
 * @property {Record<string, number>} touched
 * @property {readonly number[]} accepted
 */

/**
 * @param {number} total  number of photos; they are numbered in the order of their names
 * @param {Sort} sort
 * @param {Filter} filter
 * @param {Known} known
 * @returns {number[]}
 */
export function ordered(total, sort, filter, known) {
  const accepted = new Set(known.accepted);
  const shares = sort === "share" || filter === "with" ? new Float64Array(total) : null;
  if (shares !== null) for (let id = 0; id < total; id += 1) shares[id] = known.share(id);
  const ids = [];
  for (let id = 0; id < total; id += 1) {
    if (filter === "with" && !((shares?.[id] ?? 0) >= LEAST_SHARE)) continue;
    if (filter === "touched" && !known.touched[id]) continue;
    if (filter === "accepted" && !accepted.has(id)) continue;
    if (filter === "changed" && !known.changed(id)) continue;
    ids.push(id);
  }
  if (sort === "name") return ids;
  const source = { share: shares, doubt: known.doubts, newest: known.times }[sort];
  if (source === null) return ids;
  const values = Float64Array.from({ length: total }, (_, id) => {
    const value = source[id];
    return value === undefined || Number.isNaN(value) ? -Infinity : value;
  });
  return ids.sort((a, b) => (values[a] === values[b] ? a - b : values[b] - values[a]));
}

/**
 * The doubt from which on a photo is among the least sure tenth.
 * @param {ArrayLike<number>|null} doubts
 * @returns {number}  Infinity if too few are known
 */
export function doubtful(doubts) {
  if (doubts === null) return Infinity;
  const known = Array.from(doubts).filter((one) => !Number.isNaN(one)).sort((a, b) => b - a);
  if (known.length < 20) return Infinity;
  return known[Math.floor(known.length / 10)];
}

/**
 * Geometry of a wall of equal tiles.
 * @param {number} width  of the wall, CSS pixels
 * @param {number} wanted  width of a tile
 * @param {number} aspect  width by height
 * @param {number} gap
 * @returns {{columns: number, width: number, height: number, step: number}}  step = from row to row
 */
export function grid(width, wanted, aspect, gap) {
  const columns = Math.max(1, Math.round((width + gap) / (wanted + gap)));
  const tile = Math.max(1, Math.floor((width - gap * (columns - 1)) / columns));
  const height = Math.max(1, Math.round(tile / aspect));
  return { columns, width: tile, height, step: height + gap };
}

/**
 * Rows to keep as elements: those that are seen, and some more on both sides.
 * @param {number} top  of what is seen
 * @param {number} height
 * @param {number} step
 * @param {number} total  of rows
 * @returns {{first: number, last: number, seenFirst: number, seenLast: number}}  last ones excluded
 */
export function rowsIn(top, height, step, total) {
  const seenFirst = Math.min(total, Math.max(0, Math.floor(top / step)));
  const seenLast = Math.min(total, Math.max(seenFirst, Math.ceil((top + height) / step)));
  const more = Math.max(2, seenLast - seenFirst);
  return {
    first: Math.max(0, seenFirst - more),
    last: Math.min(total, seenLast + more),
    seenFirst,
    seenLast,
  };
}

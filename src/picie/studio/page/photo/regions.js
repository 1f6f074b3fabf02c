/** Regions of a map: the cells of one class around a place, and their boundary as rings. Pure. */

import { keysOf as votedKeys } from "../painting/votes.js";

/**
 * @typedef {Object} Region  cells that hang together by their sides
 * @property {number} width  of the map, in cells
 * @property {number} height
 * @property {Uint8Array} inside  (height, width), 1 = belongs to it
 * @property {number} count  cells inside, 0 for a place outside the map
 * @property {number} left  bounds in cells: left and top inside, right and bottom beyond
 * @property {number} top
 * @property {number} right
 * @property {number} bottom
 *
 * @typedef {import("../core/types.js").Point} Point
 */

/** Most points that an area may have in the history. */
export const MOST_POINTS = 100_000;

/**
 * The cells around a place whose key is the same.
 * @param {{w: number, h: number, data: ArrayLike<number>}} map  leaves by cell
 * @param {ArrayLike<number>} keys  leaf to key
 * @param {number} x  column of the place
 * @param {number} y  row of the place
 * @returns {Region}
 */
export function floodFill({ w: width, h: height, data }, keys, x, y) {
  const inside = new Uint8Array(width * height);
  /** @type {Region} */
  const region = { width, height, inside, count: 0, left: x, top: y, right: x, bottom: y };
  if (!(x >= 0 && y >= 0 && x < width && y < height)) return region;
  const key = keys[data[y * width + x]];
  const open = [y * width + x];
  while (open.length > 0) {
    const place = /** @type {number} */ (open.pop());
    if (inside[place]) continue;
    const row = Math.floor(place / width);
    const first = row * width;
    let start = place;
    let end = place + 1; // a stretch of the row, as long as it goes
    while (start > first && keys[data[start - 1]] === key && !inside[start - 1]) start -= 1;
    while (end < first + width && keys[data[end]] === key && !inside[end]) end += 1;
    inside.fill(1, start, end);
    region.count += end - start;
    region.left = Math.min(region.left, start - first);
    region.right = Math.max(region.right, end - first);
    region.top = Math.min(region.top, row);
    region.bottom = Math.max(region.bottom, row + 1);
    for (const next of [start - width, start + width]) {
      if (next < 0 || next >= inside.length) continue;
      let before = false; // one place for each stretch of the neighbouring row
      for (let step = 0; step < end - start; step += 1) {
        const open_ = keys[data[next + step]] === key && !inside[next + step];
        if (open_ && !before) open.push(next + step);
        before = open_;
      }
    }
  }
  return region;
}

const STEPS = [
  [1, 0],
  [0, 1],
  [-1, 0],
  [0, -1],
]; // east, south, west, north: a turn to the right is the next one

/**
 * The boundary of a region along the sides of its cells, holes included: closed rings for the
 * even-odd rule. Only corners are points. Where two cells touch by a corner alone the ring keeps
 * to its own cell.
 * @param {Region} region
 * @returns {Point[][]}  in cells
 */
export function traceRings({ width, height, inside, left, top, right, bottom }) {
  /** @param {number} x @param {number} y */
  const at = (x, y) => x >= 0 && y >= 0 && x < width && y < height && inside[y * width + x] === 1;
  const seen = new Uint8Array(width * height); // upper sides that are part of a ring
  /** @type {Point[][]} */
  const rings = [];
  for (let row = top; row < bottom; row += 1) {
    for (let column = left; column < right; column += 1) {
      if (!at(column, row) || at(column, row - 1) || seen[row * width + column]) continue;
      /** @type {Point[]} */
      const ring = [];
      let [x, y, heading] = [column, row, 0]; // the region is always on the right hand
      do {
        if (heading === 0) seen[y * width + x] = 1;
        x += STEPS[heading][0];
        y += STEPS[heading][1];
        const [ahead, beside] = sides(x, y, heading, at);
        const turn = ahead ? (beside ? 3 : 0) : 1;
        if (turn !== 0) ring.push([x, y]);
        heading = (heading + turn) % 4;
      } while (x !== column || y !== row || heading !== 0);
      rings.push(ring);
    }
  }
  return rings;
}

/**
 * Whether the two cells in front of a corner are inside: on the right hand and on the left.
 * @param {number} x
 * @param {number} y
 * @param {number} heading
 * @param {(x: number, y: number) => boolean} at
 * @returns {[boolean, boolean]}
 */
function sides(x, y, heading, at) {
  const southEast = () => at(x, y);
  const southWest = () => at(x - 1, y);
  const northWest = () => at(x - 1, y - 1);
  const northEast = () => at(x, y - 1);
  const order = [southEast, southWest, northWest, northEast];
  return [order[heading](), order[(heading + 3) % 4]()];
}

/**
 * A region in cells of twice the side, of which at least half must be inside.
 * @param {Region} region
 * @returns {Region}
 */
export function halved({ width, height, inside }) {
  const [wide, high] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const votes = new Uint8Array(wide * high);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) votes[(y >> 1) * wide + (x >> 1)] += inside[y * width + x];
  }
  /** @type {Region} */
  const half = {
    width: wide,
    height: high,
    inside: votes.map((vote) => (vote >= 2 ? 1 : 0)),
    count: 0,
    left: 0,
    top: 0,
    right: wide,
    bottom: high,
  };
  if (!half.inside.includes(1)) half.inside = votes.map((vote) => (vote > 0 ? 1 : 0));
  half.count = half.inside.reduce((sum, value) => sum + value, 0);
  return half;
}

/**
 * The boundary of a region in pixels of the photo, drawn coarser where it has too many points.
 * @param {Region} region
 * @param {{width: number, height: number}} photo  in pixels
 * @param {number} [most]  points in all
 * @returns {Point[][]}
 */
export function ringsInPhoto(region, photo, most = MOST_POINTS) {
  const across = photo.width / region.width;
  const down = photo.height / region.height;
  let rings = traceRings(region);
  let scale = 1;
  for (let coarse = region; pointsOf(rings) > most && coarse.width > 1; scale *= 2) {
    coarse = halved(coarse);
    rings = traceRings(coarse);
  }
  return rings.map((ring) =>
    ring.map(([x, y]) => [
      rounded(Math.min(photo.width, x * scale * across)),
      rounded(Math.min(photo.height, y * scale * down)),
    ]),
  );
}

/**
 * @param {readonly (readonly Point[])[]} rings
 * @returns {number}
 */
export function pointsOf(rings) {
  return rings.reduce((sum, ring) => sum + ring.length, 0);
}

/**
 * A tenth of a pixel is finer than any map; more digits would only make the history longer.
 * @param {number} value
 * @returns {number}
 */
export function rounded(value) {
  return Math.round(value * 10) / 10;
}

/**
 * A fine map after the coarse map of the photo changed: where the coarse map, at the size of the
 * fine one, has another leaf, that leaf; elsewhere the fine map stays. It is shown until the new fine
 * map is there.
 * @param {{data: Uint8Array | Uint16Array}} fine
 * @param {Uint16Array} before  from `enlarged`, the coarse map that the fine one belongs to
 * @param {Uint16Array} after  the coarse map now
 * @returns {Uint16Array}
 */
export function patched(fine, before, after) {
  return after.map((leaf, pixel) => (leaf === before[pixel] ? fine.data[pixel] : leaf));
}

const SAME = Uint16Array.from({ length: 65535 }, (_, leaf) => leaf);

/**
 * The leaves of a coarse map at the size of another, with boundaries as they are painted.
 * @param {import("../core/types.js").LeafMap} coarse
 * @param {{w: number, h: number}} size
 * @returns {Uint16Array}
 */
export function enlarged(coarse, { w, h }) {
  return votedKeys(coarse, SAME, w, h);
}

/**
 * A number for the class or cluster of each leaf, to tell regions apart.
 * @param {readonly {key: string, leaves: readonly number[]}[]} groups
 * @param {number} rows  R
 * @param {Map<string, number>} [numbers]  of the keys of groups: tables made with one can be compared
 * @returns {Uint16Array}  (R,)
 */
export function keysOf(groups, rows, numbers = new Map()) {
  const keys = new Uint16Array(rows);
  for (const { key, leaves } of groups) {
    const number = numbers.get(key) ?? numbers.size;
    numbers.set(key, number);
    for (const leaf of leaves) if (leaf < rows) keys[leaf] = number;
  }
  return keys;
}

/**
 * Share of the cells whose class is another one.
 * @param {{data: ArrayLike<number>}} before
 * @param {{data: ArrayLike<number>}} after
 * @param {ArrayLike<number>} old  leaf to key, before
 * @param {ArrayLike<number>} keys  and after
 * @returns {number}  0..1
 */
export function shareChanged(before, after, old, keys) {
  const count = after.data.length;
  if (count === 0 || before.data.length !== count) return 0;
  let changed = 0;
  for (let cell = 0; cell < count; cell += 1) {
    if (old[before.data[cell]] !== keys[after.data[cell]]) changed += 1;
  }
  return changed / count;
}

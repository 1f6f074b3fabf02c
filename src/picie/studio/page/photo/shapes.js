/** Lines and areas in a photo: made simpler, kept inside, found under a pointer. Pure. */

/**
 * @typedef {import("./regions.js").Point} Point
 *
 * @typedef {Object} Mark  what a person drew in a photo, as the history has it
 * @property {string} id
 * @property {string} act  stroke, polygon, box, segment, cluster or erase
 * @property {string} [class]  its class; an eraser has none
 * @property {Point[]} [points]
 * @property {Point} [point]
 * @property {[number, number, number, number]} [box]  left, top, right, bottom
 * @property {Point[][]} [rings]
 * @property {number} [radius]  in pixels of the photo
 */

/** Most points that a line may have in the history. */
export const MOST_STEPS = 10_000;

/**
 * A line with fewer points that is nowhere further from the first one (Douglas and Peucker).
 * @param {readonly Point[]} points
 * @param {number} tolerance  largest distance of a point that is left out
 * @returns {Point[]}
 */
export function simplify(points, tolerance) {
  if (points.length <= 2) return [...points];
  const kept = new Uint8Array(points.length);
  kept[0] = 1;
  kept[points.length - 1] = 1;
  /** @type {[number, number][]} */
  const open = [[0, points.length - 1]];
  while (open.length > 0) {
    const [start, end] = /** @type {[number, number]} */ (open.pop());
    let [furthest, place] = [tolerance, -1];
    for (let index = start + 1; index < end; index += 1) {
      const distance = distanceToSide(points[index], points[start], points[end]);
      if (distance > furthest) [furthest, place] = [distance, index];
    }
    if (place < 0) continue;
    kept[place] = 1;
    open.push([start, place], [place, end]);
  }
  return points.filter((_, index) => kept[index]);
}

/**
 * A stroke as it is sent: at most a pixel from what was drawn, inside the photo, and short enough
 * for the history.
 * @param {readonly Point[]} points  in pixels of the photo
 * @param {{width: number, height: number}} photo
 * @param {number} [most]
 * @returns {Point[]}
 */
export function strokeToSend(points, photo, most = MOST_STEPS) {
  const inside = points.map(([x, y]) => within(x, y, photo));
  let tolerance = 0.9; // rounding to tenths has the rest of the pixel
  let line = simplify(inside, tolerance);
  while (line.length > most) {
    tolerance *= 2;
    line = simplify(line, tolerance);
  }
  return line;
}

/**
 * The place of a photo nearest to a point, in tenths of a pixel.
 * @param {number} x
 * @param {number} y
 * @param {{width: number, height: number}} photo
 * @returns {Point}
 */
export function within(x, y, { width, height }) {
  const near = (/** @type {number} */ value, /** @type {number} */ most) =>
    Math.round(Math.min(most, Math.max(0, value)) * 10) / 10;
  return [near(x, width), near(y, height)];
}

/**
 * The box between two corners in any order; null where it holds nothing.
 * @param {Point} one
 * @param {Point} other
 * @returns {[number, number, number, number] | null}  left, top, right, bottom
 */
export function boxBetween([ax, ay], [bx, by]) {
  if (ax === bx || ay === by) return null;
  return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
}

/**
 * Distance of a point to the line between two others.
 * @param {Point} point
 * @param {Point} start
 * @param {Point} end
 * @returns {number}
 */
export function distanceToSide([x, y], [ax, ay], [bx, by]) {
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : ((x - ax) * dx + (y - ay) * dy) / length;
  const part = Math.min(1, Math.max(0, along));
  return Math.hypot(x - ax - part * dx, y - ay - part * dy);
}

/**
 * Distance of a point to a line of points.
 * @param {Point} point
 * @param {readonly Point[]} line
 * @returns {number}
 */
export function distanceToLine(point, line) {
  let least = Infinity;
  for (let index = 0; index < line.length; index += 1) {
    const end = line[Math.min(index + 1, line.length - 1)];
    least = Math.min(least, distanceToSide(point, line[index], end));
  }
  return least;
}

/**
 * Whether closed rings hold a point, by the even-odd rule.
 * @param {readonly (readonly Point[])[]} rings
 * @param {number} x
 * @param {number} y
 * @returns {boolean}
 */
export function holds(rings, x, y) {
  let inside = false;
  for (const ring of rings) {
    let [px, py] = ring[ring.length - 1];
    for (const [cx, cy] of ring) {
      if (cy > y !== py > y && x < ((px - cx) * (y - cy)) / (py - cy) + cx) inside = !inside;
      [px, py] = [cx, cy];
    }
  }
  return inside;
}

/**
 * The area of a mark as closed rings; none for lines and points.
 * @param {Mark} mark
 * @returns {readonly (readonly Point[])[]}
 */
export function ringsOf(mark) {
  if (mark.act === "segment") return mark.rings ?? [];
  if (mark.act === "polygon") return mark.points ? [mark.points] : [];
  if (mark.act === "box" && mark.box) {
    const [left, top, right, bottom] = mark.box;
    return [
      [
        [left, top],
        [right, top],
        [right, bottom],
        [left, bottom],
      ],
    ];
  }
  return [];
}

/**
 * The line of a mark; empty for areas.
 * @param {Mark} mark
 * @returns {readonly Point[]}
 */
export function lineOf(mark) {
  if (mark.act === "stroke" || mark.act === "erase") return mark.points ?? [];
  return mark.act === "cluster" && mark.point ? [mark.point] : [];
}

/**
 * The last mark drawn at a place, the one that counts there.
 * @param {readonly Mark[]} marks  in the order they were made
 * @param {Point} place  in pixels of the photo
 * @param {number} slack  how far off a thin line still counts as hit, in pixels of the photo
 * @returns {Mark | null}
 */
export function markAt(marks, [x, y], slack) {
  for (const mark of [...marks].reverse()) {
    if (holds(ringsOf(mark), x, y)) return mark;
    const line = lineOf(mark);
    if (line.length > 0 && distanceToLine([x, y], line) <= (mark.radius ?? 0) + slack) return mark;
  }
  return null;
}

/**
 * A short place of a mark, for lists: where its middle is.
 * @param {Mark} mark
 * @returns {Point}
 */
export function middleOf(mark) {
  const points = [...ringsOf(mark).flat(), ...lineOf(mark)];
  if (points.length === 0) return [0, 0];
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of points) {
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  return [(left + right) / 2, (top + bottom) / 2];
}

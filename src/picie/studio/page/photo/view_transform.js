/** Where a photo is on screen: zoom, pan, and the tiles that are seen. Pure. */

/**
 * @typedef {Object} View
 * @property {number} scale  screen pixels (of CSS) by pixel of the photo
 * @property {number} x  column of the photo at the left edge of the pane
 * @property {number} y  row of the photo at its upper edge
 *
 * @typedef {{width: number, height: number}} Size
 * @typedef {import("../core/types.js").Point} Point
 *
 * @typedef {Object} Tile
 * @property {number} level  0 = full resolution, each next one half of it
 * @property {number} x  column of the tile
 * @property {number} y  row of the tile
 * @property {number} left  what it covers, in pixels of the photo
 * @property {number} top
 * @property {number} right
 * @property {number} bottom
 */

/** Most screen pixels by pixel of the photo. */
export const MOST_SCALE = 40;

/** One step of the keys + and -. */
export const ZOOM_STEP = 1.25;

/**
 * The whole photo, as large as the pane allows.
 * @param {Size} photo  in pixels
 * @param {Size} pane  in screen pixels
 * @returns {View}
 */
export function fitted(photo, pane) {
  const scale = Math.min(pane.width / photo.width, pane.height / photo.height);
  return bounded({ scale: Math.min(MOST_SCALE, scale), x: 0, y: 0 }, photo, pane);
}

/**
 * A view within its limits: never smaller than the whole photo or 1:1, never above the largest
 * scale. The whole photo is centred; the edge of a larger one may come to the middle of the pane,
 * so that one can draw at it in comfort, and a zoom keeps what is under the pointer.
 * @param {View} view
 * @param {Size} photo
 * @param {Size} pane
 * @returns {View}
 */
export function bounded(view, photo, pane) {
  const whole = Math.min(pane.width / photo.width, pane.height / photo.height);
  const scale = Math.min(MOST_SCALE, Math.max(Math.min(whole, 1), view.scale));
  const centred = scale <= whole * (1 + 1e-9);
  const edge = (/** @type {number} */ start, /** @type {number} */ length, /** @type {number} */ room) =>
    centred ? (length - room) / 2 : Math.min(length - room / 2, Math.max(-room / 2, start));
  return {
    scale,
    x: edge(view.x * scale, photo.width * scale, pane.width) / scale,
    y: edge(view.y * scale, photo.height * scale, pane.height) / scale,
  };
}

/**
 * @param {View} view
 * @param {Point} place  on screen, from the upper left corner of the pane
 * @returns {Point}  in pixels of the photo
 */
export function toPhoto(view, [x, y]) {
  return [view.x + x / view.scale, view.y + y / view.scale];
}

/**
 * @param {View} view
 * @param {Point} place  in pixels of the photo
 * @returns {Point}  on screen
 */
export function toScreen(view, [x, y]) {
  return [(x - view.x) * view.scale, (y - view.y) * view.scale];
}

/**
 * Zoom so that what is under a place stays there.
 * @param {View} view
 * @param {number} factor  above 1 = larger
 * @param {Point} place  on screen
 * @param {Size} photo
 * @param {Size} pane
 * @returns {View}
 */
export function zoomedAt(view, factor, place, photo, pane) {
  const [x, y] = toPhoto(view, place);
  const { scale } = bounded({ ...view, scale: view.scale * factor }, photo, pane);
  return bounded({ scale, x: x - place[0] / scale, y: y - place[1] / scale }, photo, pane);
}

/**
 * Move the photo with a pointer.
 * @param {View} view
 * @param {number} across  screen pixels to the right
 * @param {number} down
 * @param {Size} photo
 * @param {Size} pane
 * @returns {View}
 */
export function panned(view, across, down, photo, pane) {
  const moved = { ...view, x: view.x - across / view.scale, y: view.y - down / view.scale };
  return bounded(moved, photo, pane);
}

/**
 * Zoom and pan with two fingers: what was under each stays under it.
 * @param {View} view
 * @param {readonly [Point, Point]} before  both fingers on screen
 * @param {readonly [Point, Point]} after
 * @param {Size} photo
 * @param {Size} pane
 * @returns {View}
 */
export function pinched(view, before, after, photo, pane) {
  const factor = Math.max(1, gap(after)) / Math.max(1, gap(before));
  const [from, to] = [middle(before), middle(after)];
  const moved = panned(view, to[0] - from[0], to[1] - from[1], photo, pane);
  return zoomedAt(moved, factor, to, photo, pane);
}

/**
 * The least move after which a place is seen, with some room around it.
 * @param {View} view
 * @param {Point} place  in pixels of the photo
 * @param {Size} photo
 * @param {Size} pane
 * @param {number} [room]  in screen pixels
 * @returns {View}
 */
export function following(view, place, photo, pane, room = 40) {
  const [x, y] = toScreen(view, place);
  const across = Math.max(0, room - x) - Math.max(0, x - pane.width + room);
  const down = Math.max(0, room - y) - Math.max(0, y - pane.height + room);
  return across === 0 && down === 0 ? view : panned(view, across, down, photo, pane);
}

/**
 * The view of the same middle and scale after the pane got another size.
 * @param {View} view
 * @param {Size} before
 * @param {Size} after
 * @param {Size} photo
 * @returns {View}
 */
export function resized(view, before, after, photo) {
  const whole = fitted(photo, before);
  if (Math.abs(view.scale - whole.scale) < 1e-9) return fitted(photo, after);
  const across = (after.width - before.width) / 2;
  const down = (after.height - before.height) / 2;
  return panned(view, across, down, photo, after);
}

/**
 * The level whose pixels are just not larger than those of the screen.
 * @param {number} scale  device pixels by pixel of the photo
 * @param {number} levels  how many there are
 * @returns {number}
 */
export function levelFor(scale, levels) {
  return Math.min(levels - 1, Math.max(0, Math.floor(-Math.log2(scale) + 1e-6)));
}

/**
 * The tiles of a level that are seen, the middle ones first.
 * @param {View} view
 * @param {Size & {tile: number, levels: number}} photo
 * @param {Size} pane
 * @param {number} level
 * @returns {Tile[]}
 */
export function tilesIn(view, photo, pane, level) {
  const side = photo.tile * 2 ** level; // of a tile, in pixels of the photo
  const [left, top] = toPhoto(view, [0, 0]);
  const [right, bottom] = toPhoto(view, [pane.width, pane.height]);
  const last = [Math.ceil(photo.width / side) - 1, Math.ceil(photo.height / side) - 1];
  /** @type {Tile[]} */
  const tiles = [];
  for (let y = Math.max(0, Math.floor(top / side)); y <= Math.min(last[1], bottom / side); y += 1) {
    const first = Math.max(0, Math.floor(left / side));
    for (let x = first; x <= Math.min(last[0], right / side); x += 1) {
      tiles.push({
        level,
        x,
        y,
        left: x * side,
        top: y * side,
        right: Math.min(photo.width, (x + 1) * side),
        bottom: Math.min(photo.height, (y + 1) * side),
      });
    }
  }
  const away = (/** @type {Tile} */ tile) =>
    Math.hypot(tile.left + tile.right - left - right, tile.top + tile.bottom - top - bottom);
  return tiles.sort((a, b) => away(a) - away(b));
}

/** @param {readonly [Point, Point]} fingers */
function gap([a, b]) {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

/**
 * @param {readonly [Point, Point]} fingers
 * @returns {Point}
 */
function middle([a, b]) {
  return [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
}

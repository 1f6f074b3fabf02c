/** Painting masks on the CPU. */

import { translation } from "../core/luts.js";
import { keysOf } from "./votes.js";

/** @typedef {import("./painter.js").Painter} Painter */
/** @typedef {import("./painter.js").PaintOptions} PaintOptions */
/** @typedef {import("../core/types.js").LeafMap} LeafMap */
/** @typedef {import("../core/types.js").Table} Table */

export const VEIL = [12, 14, 17, 150]; // RGBA of what did not change
export const RIM = [255, 255, 255, 235]; // of what glows
export const CHANGED_ALPHA = 225;

/** @returns {Painter} */
export function createPainter2D() {
  let keys = new Uint16Array(0);
  let old = new Uint16Array(0);
  /** @type {import("./votes.js").Soft} */
  let soft = { second: new Uint16Array(0), cover: new Uint8Array(0) };
  /** @type {ImageData|null} */
  let image = null;

  return {
    kind: "2d",
    free() {
      image = null;
    },
    paint(canvas, map, table, options) {
      const { width, height } = options;
      const context = canvas.getContext("2d");
      if (context === null) return;
      if (canvas.width !== width) canvas.width = width;
      if (canvas.height !== height) canvas.height = height;
      if (image === null || image.width !== width || image.height !== height) {
        image = context.createImageData(width, height);
      }
      if (keys.length < width * height) {
        keys = new Uint16Array(width * height);
        old = new Uint16Array(width * height);
        soft = { second: new Uint16Array(width * height), cover: new Uint8Array(width * height) };
      }
      const blends = !options.outlines && !options.changed;
      keysOf(map, table.keys, width, height, keys, options.part, blends ? soft : null);
      /** @type {Uint16Array|null} */
      let before = null;
      if (options.changed) {
        const { map: was, table: then } = options.changed;
        before = keysOf(was, keysBefore(then, table), width, height, old, options.part);
      }
      const pixels = new Uint32Array(image.data.buffer);
      fillPixels(pixels, keys, before, table, options, blends ? soft : null);
      context.putImageData(image, 0, 0);
    },
  };
}

/**
 * Leaves to keys as before, written in the keys of now.
 * @param {Table} before
 * @param {Table} now
 * @returns {Uint16Array}
 */
export function keysBefore(before, now) {
  const to = translation(before, plainNames(now));
  return Uint16Array.from(before.keys, (key) => to[key] ?? 65535);
}

/**
 * For each name, its first key: two keys of one name are the same class.
 * @param {Table} table
 * @returns {Table}
 */
function plainNames(table) {
  const names = table.names.map((name, key) => (table.names.indexOf(name) === key ? name : ""));
  return { ...table, names };
}

/**
 * The first key with the name of each key.
 * @param {Table} table
 * @returns {Uint16Array}
 */
export function sameNames(table) {
  return Uint16Array.from(table.names, (name) => table.names.indexOf(name));
}

/**
 * Colours of pixels.
 * @param {Uint32Array} pixels  RGBA in the order of bytes of this machine, which is little endian
 * @param {Uint16Array} keys
 * @param {Uint16Array|null} before
 * @param {Table} table
 * @param {PaintOptions} options
 * @param {import("./votes.js").Soft|null} soft
 */
export function fillPixels(pixels, keys, before, table, { width, height, outlines }, soft) {
  const colours = new Uint32Array(table.titles.length);
  const opaque = new Uint32Array(table.titles.length);
  const bright = new Uint32Array(table.titles.length);
  for (let key = 0; key < colours.length; key += 1) {
    const [r, g, b, a] = table.colours.subarray(4 * key, 4 * key + 4);
    colours[key] = pack(r, g, b, a);
    opaque[key] = a ? pack(r, g, b, 255) : 0;
    bright[key] = pack(r, g, b, CHANGED_ALPHA);
  }
  const count = width * height;
  if (before !== null) {
    const first = sameNames(table);
    const veil = pack(VEIL[0], VEIL[1], VEIL[2], VEIL[3]);
    for (let at = 0; at < count; at += 1) {
      pixels[at] = first[keys[at]] === before[at] ? veil : (bright[keys[at]] ?? veil);
    }
    return;
  }
  for (let at = 0; at < count; at += 1) pixels[at] = colours[keys[at]] ?? 0;
  if (soft !== null) {
    for (let at = 0; at < count; at += 1) {
      const cover = soft.cover[at];
      if (cover < 255) pixels[at] = blend(pixels[at], colours[soft.second[at]] ?? 0, cover);
    }
  }
  const hot = table.hot.includes(1);
  if (!outlines && !hot) return;
  const rim = pack(RIM[0], RIM[1], RIM[2], RIM[3]);
  for (let y = 0; y < height; y += 1) {
    const up = y > 0 ? -width : 0;
    const down = y < height - 1 ? width : 0;
    for (let x = 0; x < width; x += 1) {
      const at = y * width + x;
      const key = keys[at];
      const left = keys[x > 0 ? at - 1 : at];
      const right = keys[x < width - 1 ? at + 1 : at];
      const [above, below] = [keys[at + up], keys[at + down]];
      if (key === left && key === right && key === above && key === below) continue;
      if (hot && table.hot[key]) {
        const inside = table.hot[left] && table.hot[right] && table.hot[above] && table.hot[below];
        if (!inside) pixels[at] = rim;
      } else if (outlines) pixels[at] = opaque[key] ?? 0;
    }
  }
}

/**
 * Two colours in one pixel.
 * @param {number} one  RGBA
 * @param {number} other
 * @param {number} cover  share of the first, 0..255
 */
function blend(one, other, cover) {
  const first = (one >>> 24) * cover;
  const second = (other >>> 24) * (255 - cover);
  const all = first + second;
  if (all === 0) return 0;
  const r = ((one & 255) * first + (other & 255) * second) / all;
  const g = (((one >>> 8) & 255) * first + ((other >>> 8) & 255) * second) / all;
  const b = (((one >>> 16) & 255) * first + ((other >>> 16) & 255) * second) / all;
  return pack(Math.round(r), Math.round(g), Math.round(b), Math.round(all / 255));
}

/**
 * @param {number} r
 * @param {number} g
 * @param {number} b
 * @param {number} a
 */
function pack(r, g, b, a) {
  return ((a << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

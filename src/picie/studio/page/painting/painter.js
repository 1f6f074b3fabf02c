/**
 * Painting masks onto canvases: on the GPU where there is one, else on the CPU. Both paint the same
 * pixels.
 *
 * A pixel has the colour of its key. With `outlines`, the rim of each region is opaque; regions that
 * glow have a white rim. With `changed`, what has the same class as before is veiled.
 */

import { createPainter2D } from "./painter_2d.js";
import { createPainterGL } from "./painter_gl.js";

/** @typedef {import("../core/types.js").LeafMap} LeafMap */
/** @typedef {import("../core/types.js").Table} Table */

/**
 * @typedef {{map: LeafMap, table: Table}} Changed  what was there before the last act
 *
 * @typedef {Object} PaintOptions
 * @property {number} width  of the canvas in pixels
 * @property {number} height
 * @property {boolean} [outlines]
 * @property {Changed|null} [changed]  what was there before
 * @property {Part|null} [part]  what of the map the canvas shows, all of it unless given
 *
 * @typedef {{x: number, y: number, width: number, height: number}} Part  in 0..1 of the map
 *
 * @typedef {Object} Painter
 * @property {"webgl2"|"2d"} kind
 * @property {(canvas: HTMLCanvasElement, map: LeafMap, table: Table, options: PaintOptions) => void} paint
 * @property {() => void} free  what it holds on the GPU
 */

/**
 * A painter. The GPU is not used where it is only emulated, which is slower than the CPU.
 * @param {"webgl2"|"2d"|"best"} [kind]
 * @returns {Painter}
 */
export function createPainter(kind = "best") {
  if (kind !== "2d") {
    const painter = createPainterGL(kind === "webgl2", () => createPainter2D());
    if (painter !== null) return painter;
  }
  return createPainter2D();
}

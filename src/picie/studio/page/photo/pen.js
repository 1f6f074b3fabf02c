/**
 * What a tool has drawn so far, by pointer or by keys, and the act it becomes. Pure: places are in
 * pixels of the photo, nothing is painted or sent here.
 */

import { boxBetween, strokeToSend, within } from "./shapes.js";

/**
 * @typedef {import("../core/types.js").Tool} Tool
 * @typedef {import("./regions.js").Point} Point
 * @typedef {{width: number, height: number}} Size
 *
 * @typedef {{act: "stroke", points: Point[], radius: number}
 *   | {act: "erase", points: Point[], radius: number}
 *   | {act: "polygon", points: Point[]}
 *   | {act: "box", box: [number, number, number, number]}} Drawn  an act without photo and class
 */

export class Pen {
  /** @param {Size} photo */
  constructor(photo) {
    this.photo = photo;
    /** @type {Tool} */
    this.tool = "brush";
    /** In pixels of the photo. */
    this.radius = 8;
    /** What is drawn so far: the line, the corners, or the first corner of a box. @type {Point[]} */
    this.points = [];
    /** Where the pointer or the crosshair is. @type {Point | null} */
    this.here = null;
    this.down = false;
  }

  /** Whether something is begun and not finished. */
  get busy() {
    return this.points.length > 0;
  }

  /**
   * Put the pen down: a line begins, a corner is set.
   * @param {Point} place
   * @param {number} near  how close to the first corner closes a polygon
   * @returns {Drawn | null}  what this finished
   */
  press(place, near = 0) {
    const [x, y] = within(place[0], place[1], this.photo);
    this.here = [x, y];
    this.down = true;
    if (this.tool === "polygon") {
      const [first] = this.points;
      const [lastX, lastY] = this.points.at(-1) ?? [NaN, NaN];
      if (first && this.points.length > 2 && Math.hypot(first[0] - x, first[1] - y) <= near) {
        return this.close();
      }
      if (lastX !== x || lastY !== y) this.points.push([x, y]);
    } else if (this.tool === "box") {
      if (this.points.length === 0) this.points = [[x, y]];
    } else if (this.tool === "brush" || this.tool === "eraser") {
      this.points = [[x, y]];
    }
    return null;
  }

  /**
   * Move; a line that is being drawn goes along.
   * @param {Point} place
   */
  move(place) {
    const [x, y] = within(place[0], place[1], this.photo);
    this.here = [x, y];
    if (!this.down || (this.tool !== "brush" && this.tool !== "eraser")) return;
    const [lastX, lastY] = /** @type {Point} */ (this.points.at(-1));
    if (lastX !== x || lastY !== y) this.points.push([x, y]);
  }

  /**
   * Lift the pen: a line ends, and a box if it is one.
   * @returns {Drawn | null}
   */
  lift() {
    if (!this.down) return null;
    this.down = false;
    const { tool, points, here } = this;
    if (tool === "box" && here !== null && points.length > 0) {
      const box = boxBetween(points[0], here);
      if (box === null) return null; // a click: the next one is the other corner
      this.points = [];
      return { act: "box", box };
    }
    if (tool !== "brush" && tool !== "eraser") return null;
    this.points = [];
    const radius = Math.min(Math.max(this.photo.width, this.photo.height), this.radius);
    return {
      act: tool === "brush" ? "stroke" : "erase",
      points: strokeToSend(points, this.photo),
      radius: Math.round(radius * 10) / 10,
    };
  }

  /**
   * The polygon of the corners so far; null, and nothing is lost, with fewer than three.
   * @returns {Drawn | null}
   */
  close() {
    if (this.tool !== "polygon" || this.points.length < 3) return null;
    const points = this.points;
    this.cancel();
    return { act: "polygon", points };
  }

  /**
   * The key Enter at a place: what a click there would do. A second one at the last corner closes a
   * polygon.
   * @param {Point} place
   * @returns {Drawn | null}
   */
  enter(place) {
    const [x, y] = within(place[0], place[1], this.photo);
    const [lastX, lastY] = this.points.at(-1) ?? [NaN, NaN];
    if (this.tool === "polygon" && lastX === x && lastY === y) return this.close();
    if (this.tool === "box" && this.points.length > 0) {
      this.down = true;
      this.move(place);
      return this.lift();
    }
    if (this.down && this.tool !== "polygon") {
      this.move(place);
      return this.lift();
    }
    return this.press(place);
  }

  /**
   * Take the last corner back.
   * @returns {boolean}  whether there was one
   */
  back() {
    if (this.tool !== "polygon" || this.points.length === 0) return false;
    this.points.pop();
    return true;
  }

  /** Leave what is begun. */
  cancel() {
    this.points = [];
    this.down = false;
  }
}

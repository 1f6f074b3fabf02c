/**
 * The stage of the large view: a photo by tiles, its mask, and ink over both. It knows where things
 * are; what a pointer does there is decided elsewhere.
 */

import { el } from "../core/dom.js";
import { strings } from "../core/strings.js";
import {
  bounded, fitted, levelFor, resized, tilesIn, toPhoto, toScreen, zoomedAt,
} from "./view_transform.js";

/**
 * @typedef {import("./regions.js").Point} Point
 * @typedef {import("./tiles.js").Tiles} Tiles
 * @typedef {import("../core/types.js").LeafMap} LeafMap
 * @typedef {import("../core/types.js").Table} Table
 * @typedef {import("./view_transform.js").View} View
 * @typedef {"one"|"side"|"slider"} Mode
 *
 * @typedef {Object} PhotoInfo  GET /api/photo/ID
 * @property {number} id
 * @property {string} name
 * @property {number} width
 * @property {number} height
 * @property {number} tile
 * @property {number} levels
 * @property {import("./shapes.js").Mark[]} marks
 * @property {boolean} accepted
 * @property {string|null} [accept]  id of the event that accepted it
 * @property {string|null} [problem]
 *
 * @typedef {Object} Pane  a part of the stage that shows the photo, in CSS pixels
 * @property {number} left
 * @property {number} width
 * @property {number} height
 *
 * @typedef {Object} Mask  what is painted over the photo
 * @property {LeafMap} map
 * @property {Table} table
 * @property {boolean} outlines
 * @property {import("../painting/painter.js").Changed|null} changed
 * @property {readonly string[]|null} titles  classes that the numbers of the map are; null = leaves
 */

const GAP = 4; // between the panes of the mode side by side
const PIXELATED = 2; // screen pixels by pixel of the photo from which on pixels are shown as they are
const HANDLE_STEP = 0.02; // of the width

export class Stage {
  /**
   * @param {import("../painting/painter.js").Painter} painter
   * @param {Tiles} tiles
   * @param {(ink: CanvasRenderingContext2D, view: View, pane: number) => void} draw  the ink
   */
  constructor(painter, tiles, draw) {
    this.painter = painter;
    this.tiles = tiles;
    this.draw = draw;
    /** @type {PhotoInfo|null} */
    this.photo = null;
    /** @type {Mask|null} */
    this.mask = null;
    /** @type {View} */
    this.view = { scale: 1, x: 0, y: 0 };
    /** @type {Mode} */
    this.mode = "one";
    this.wipe = 0.5; // where the mask begins in the mode slider, 0..1
    /** Tiles of other photos to load after those that are seen. @type {PhotoInfo[]} */
    this.ahead = [];
    /** @type {() => void} */
    this.onMask = () => {}; // the mask was painted
    /** @type {() => void} */
    this.onMove = () => {};
    this._size = { width: 1, height: 1 };
    /** @type {Set<string>} */
    this._dirty = new Set();
    this._frame = 0;
    const canvas = (/** @type {string} */ name) =>
      el("canvas", { class: `stage-${name}`, "aria-hidden": "true" });
    this.pictures = canvas("photo");
    this.paint = canvas("mask");
    this.paint.hidden = true; // until there is something on it
    this.ink = canvas("ink");
    this.handle = this._makeHandle();
    this.field = el(
      "div",
      { class: "stage-field", tabindex: 0, role: "application", "aria-label": strings.viewer.stage },
      this.pictures, this.paint, this.ink,
    );
    this.root = el("div", { class: "stage" }, this.field, this.handle);
    this._watch = new ResizeObserver(() => this._resize());
    this._watch.observe(this.root);
  }

  close() {
    this._watch.disconnect();
    cancelAnimationFrame(this._frame);
  }

  /** The parts that show the photo. @returns {Pane[]} */
  get panes() {
    const { width, height } = this._size;
    if (this.mode !== "side") return [{ left: 0, width, height }];
    const half = Math.max(1, Math.floor((width - GAP) / 2));
    return [{ left: 0, width: half, height }, { left: width - half, width: half, height }];
  }

  /** Size of one pane, in CSS pixels. */
  get pane() {
    const [{ width, height }] = this.panes;
    return { width, height };
  }

  /**
   * Show a photo; another one is fitted.
   * @param {PhotoInfo|null} photo
   */
  show(photo) {
    const other = photo?.id !== this.photo?.id;
    this.photo = photo;
    if (photo !== null && other) this.view = fitted(photo, this.pane);
    this.moved();
  }

  /** @param {Mask|null} mask */
  setMask(mask) {
    this.mask = mask;
    this.again("mask");
  }

  /** @param {Mode} mode */
  setMode(mode) {
    const before = this.pane;
    this.mode = mode;
    this.handle.hidden = mode !== "slider";
    if (this.photo !== null) this.view = resized(this.view, before, this.pane, this.photo);
    this.moved();
  }

  /** @param {View} view */
  setView(view) {
    if (this.photo === null) return;
    this.view = bounded(view, this.photo, this.pane);
    this.moved();
  }

  /**
   * @param {number} factor
   * @param {Point} [place]  on a pane; its middle unless given
   */
  zoom(factor, place = [this.pane.width / 2, this.pane.height / 2]) {
    if (this.photo === null) return;
    this.setView(zoomedAt(this.view, factor, place, this.photo, this.pane));
  }

  fit() {
    if (this.photo !== null) this.setView(fitted(this.photo, this.pane));
  }

  /**
   * Where on a pane a pointer is.
   * @param {{clientX: number, clientY: number}} event
   * @returns {Point}
   */
  onPane(event) {
    const box = this.root.getBoundingClientRect();
    const x = event.clientX - box.left;
    const pane = this.panes.findLast(({ left }) => x >= left) ?? this.panes[0];
    return [x - pane.left, event.clientY - box.top];
  }

  /**
   * @param {{clientX: number, clientY: number}} event
   * @returns {Point}  in pixels of the photo
   */
  inPhoto(event) {
    return toPhoto(this.view, this.onPane(event));
  }

  /** The view, the photo or the size is another one. */
  moved() {
    this.wantTiles();
    for (const what of ["photo", "mask", "ink"]) this.again(what);
    this.onMove();
  }

  /**
   * Draw again before the next repaint.
   * @param {string} what  photo, mask or ink
   */
  again(what) {
    this._dirty.add(what);
    if (this._frame === 0) this._frame = requestAnimationFrame(() => this._draw());
  }

  /** Say which tiles are needed. */
  wantTiles() {
    const { photo } = this;
    if (photo === null) return;
    const wants = [photo, ...this.ahead].map((one) => {
      const view = one === photo ? this.view : fitted(one, this.pane);
      const level = this._level(view, one);
      const coarsest = one.levels - 1;
      const first = level === coarsest ? [] : tilesIn(fitted(one, this.pane), one, this.pane, coarsest);
      return { id: one.id, tiles: [...first, ...tilesIn(view, one, this.pane, level)] };
    });
    this.tiles.want(wants);
  }

  /**
   * @param {View} view
   * @param {PhotoInfo} photo
   */
  _level(view, photo) {
    return levelFor(view.scale * ratio(), photo.levels);
  }

  _resize() {
    const before = this.pane;
    const { clientWidth, clientHeight } = this.root;
    this._size = { width: Math.max(1, clientWidth), height: Math.max(1, clientHeight) };
    if (this.photo !== null) this.view = resized(this.view, before, this.pane, this.photo);
    this.moved();
    this._draw(); // at once, not stretched for a moment
  }

  _draw() {
    cancelAnimationFrame(this._frame);
    this._frame = 0;
    const dirty = this._dirty;
    this._dirty = new Set();
    if (dirty.has("photo")) this._drawPhoto();
    if (dirty.has("mask")) this._drawMask();
    if (dirty.has("ink")) {
      this._onPanes(this.ink, (ink, place) => this.draw(ink, this.view, place));
      this._placeHandle();
    }
  }

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(ink: CanvasRenderingContext2D, place: number) => void} draw
   */
  _onPanes(canvas, draw) {
    const ink = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const [wide, high] = [this._size.width, this._size.height].map((one) => Math.round(one * ratio()));
    if (canvas.width !== wide) canvas.width = wide; // the window may have moved to another screen
    if (canvas.height !== high) canvas.height = high;
    ink.setTransform(1, 0, 0, 1, 0, 0);
    ink.clearRect(0, 0, canvas.width, canvas.height);
    if (this.photo === null) return;
    this.panes.forEach(({ left, width, height }, place) => {
      ink.save();
      ink.setTransform(ratio(), 0, 0, ratio(), Math.round(left * ratio()), 0);
      ink.beginPath();
      ink.rect(0, 0, width, height);
      ink.clip();
      draw(ink, place);
      ink.restore();
    });
  }

  _drawPhoto() {
    const { photo, view } = this;
    if (photo === null) return this._onPanes(this.pictures, () => {});
    const target = this._level(view, photo);
    const wanted = tilesIn(view, photo, this.pane, target);
    const complete = wanted.every((tile) => this.tiles.get(photo.id, tile) !== null);
    this._onPanes(this.pictures, (ink) => {
      ink.imageSmoothingQuality = "high";
      const thumb = complete ? null : this.tiles.thumb(photo.id);
      const whole = { left: 0, top: 0, right: photo.width, bottom: photo.height };
      if (thumb !== null) this._picture(ink, thumb, whole);
      for (let level = complete ? target : photo.levels - 1; level >= target; level -= 1) {
        ink.imageSmoothingEnabled = level > 0 || view.scale <= PIXELATED;
        for (const tile of tilesIn(view, photo, this.pane, level)) {
          const picture = this.tiles.get(photo.id, tile);
          if (picture !== null) this._picture(ink, picture, tile);
        }
      }
    });
  }

  /**
   * A picture on whole pixels of the screen, so that tiles meet without a seam.
   * @param {CanvasRenderingContext2D} ink
   * @param {ImageBitmap} picture
   * @param {{left: number, top: number, right: number, bottom: number}} part  of the photo
   */
  _picture(ink, picture, part) {
    const [left, top, right, bottom] = this._onScreen(part);
    ink.drawImage(picture, left, top, right - left, bottom - top);
  }

  /**
   * A part of the photo in CSS pixels of the pane, at whole device pixels.
   * @param {{left: number, top: number, right: number, bottom: number}} part
   */
  _onScreen({ left, top, right, bottom }) {
    return [...toScreen(this.view, [left, top]), ...toScreen(this.view, [right, bottom])].map(
      (value) => Math.round(value * ratio()) / ratio(),
    );
  }

  /** The mask lies on the part of the photo that is seen: in the mode side by side on the right. */
  _drawMask() {
    const { photo, mask, paint } = this;
    const pane = this.panes[this.panes.length - 1];
    const shown = photo === null ? [0, 0, 0, 0] : this._onScreen(
      { left: 0, top: 0, right: photo.width, bottom: photo.height });
    const [left, top] = [Math.max(0, shown[0]), Math.max(0, shown[1])];
    const [right, bottom] = [Math.min(pane.width, shown[2]), Math.min(pane.height, shown[3])];
    paint.hidden = photo === null || mask === null || right <= left || bottom <= top;
    if (photo === null || mask === null || paint.hidden) return;
    const [wide, high] = [shown[2] - shown[0], shown[3] - shown[1]];
    this.painter.paint(paint, mask.map, mask.table, {
      width: Math.round((right - left) * ratio()),
      height: Math.round((bottom - top) * ratio()),
      outlines: mask.outlines,
      ...(mask.changed === null ? {} : { changed: mask.changed }),
      part: {
        x: (left - shown[0]) / wide, y: (top - shown[1]) / high,
        width: (right - left) / wide, height: (bottom - top) / high,
      },
    });
    const edge = this.mode === "slider" ? this.wipe * pane.width - left : 0;
    const { style } = paint;
    style.left = `${pane.left + left}px`;
    style.top = `${top}px`;
    style.width = `${right - left}px`;
    style.height = `${bottom - top}px`;
    style.clipPath = edge > 0 ? `inset(0 0 0 ${Math.min(edge, right - left)}px)` : "";
    this.onMask();
  }

  _makeHandle() {
    const handle = el("div", {
      class: "stage-handle", role: "slider", tabindex: 0, hidden: true,
      "aria-label": strings.viewer.handle, "aria-valuemin": 0, "aria-valuemax": 100,
      "aria-orientation": "horizontal",
    });
    handle.addEventListener("keydown", (event) => {
      const steps = event.shiftKey ? 5 : 1;
      if (event.key === "ArrowLeft") this._wipe(this.wipe - steps * HANDLE_STEP);
      else if (event.key === "ArrowRight") this._wipe(this.wipe + steps * HANDLE_STEP);
      else if (event.key === "Home") this._wipe(0);
      else if (event.key === "End") this._wipe(1);
      else return;
      event.preventDefault();
    });
    handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const box = this.root.getBoundingClientRect();
      this._wipe((event.clientX - box.left) / box.width);
    });
    return handle;
  }

  /** @param {number} wipe */
  _wipe(wipe) {
    this.wipe = Math.min(1, Math.max(0, wipe));
    this.again("mask");
    this.again("ink");
  }

  _placeHandle() {
    const percent = Math.round(100 * this.wipe);
    this.handle.style.left = `${100 * this.wipe}%`;
    this.handle.setAttribute("aria-valuenow", String(percent));
    this.handle.setAttribute("aria-valuetext", strings.viewer.handleAt(percent));
  }
}

function ratio() {
  return window.devicePixelRatio || 1;
}

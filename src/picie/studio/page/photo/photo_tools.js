/** What the tools do in the photo of the large view: hover, draw, ask, send, announce. */

import { say } from "../core/dom.js";
import {
  drawBand, drawBrush, drawCorners, drawCrosshair, drawLine, drawMarks, drawRings,
} from "./marks.js";
import { Pen } from "./pen.js";
import { ringsInPhoto } from "./regions.js";
import { markAt, within } from "./shapes.js";
import { strings } from "../core/strings.js";
import { Under } from "./under.js";
import { following, toPhoto, toScreen } from "./view_transform.js";

/**
 * @typedef {import("./pen.js").Drawn} Drawn
 * @typedef {import("./regions.js").Point} Point
 * @typedef {import("./shapes.js").Mark} Mark
 * @typedef {import("./stage.js").PhotoInfo} PhotoInfo
 * @typedef {import("../core/types.js").Act} Act
 * @typedef {import("./view_transform.js").View} View
 */

const CLOSE = 10; // CSS pixels around the first corner that close a polygon
const SLACK = 6; // CSS pixels beside a thin line
const PAUSE = 150; // ms before the place of the crosshair is said
const ERASER = "#ffffff";

export class PhotoTools {
  /** @param {import("./viewer.js").Viewer} viewer */
  constructor(viewer) {
    this.viewer = viewer;
    this.pen = new Pen({ width: 1, height: 1 });
    /** Marks of the photo, those on their way included. @type {Mark[]} */
    this.marks = [];
    /** @type {Mark[]} */
    this._sent = [];
    /** @type {string|null} */
    this.selected = null;
    /** Where the pointer is, in the photo. @type {Point|null} */
    this.pointer = null;
    /** Where the cursor of the keys is; null = the pointer is in use. @type {Point|null} */
    this.crosshair = null;
    this.under = new Under(viewer);
    this._timer = 0;
    this._touch = false; // the last pointer was a finger
    this.space = false; // held
    this.dragged = false; // while it was held
  }

  /** @returns {import("./gestures.js").Hand} */
  get hand() {
    return {
      tool: () => this.viewer.store.view.tool,
      holds: () => this.space,
      begin: ({ pointerType }) => {
        this._touch = pointerType === "touch";
        this.changed(); // a key just before may have chosen another tool
        this.viewer.chooser.close();
      },
      press: (place) => {
        this._byPointer(place);
        this.viewer.fine.wait();
        this.pen.press(place);
        this._ink();
      },
      move: (place) => {
        this._byPointer(place);
        this.pen.move(place);
        this._ink();
      },
      hover: (place) => {
        this._byPointer(place);
        this.pen.move(place);
        this._ink();
      },
      lift: () => this._finish(this.pen.lift()),
      cancel: () => {
        this.pen.cancel();
        this._ink();
      },
      click: (place, event) => this._click(place, this.viewer.stage.onPane(event)),
      twice: (place) => this._twice(place),
      leave: () => {
        this.pointer = null;
        this._ink();
      },
      panned: () => {
        this.dragged = true;
      },
    };
  }

  /**
   * @param {PhotoInfo} photo
   * @param {boolean} other  not the one before
   */
  setPhoto(photo, other) {
    if (other) {
      this.pen = new Pen(photo);
      this.selected = null;
      this.crosshair = null;
      this._sent = [];
      this.changed();
    }
    const there = new Set(photo.marks.map(shapeOf));
    this.marks = [...photo.marks, ...this._sent.filter((mark) => !there.has(shapeOf(mark)))];
    if (!this.marks.some(({ id }) => id === this.selected)) this.selected = null;
  }

  /** Tool, radius or class are others. */
  changed() {
    const { tool, radius } = this.viewer.store.view;
    if (tool !== this.pen.tool) this.pen.cancel();
    this.pen.tool = tool;
    this.pen.radius = radius / this.viewer.stage.view.scale;
  }

  /** Leave everything that is begun. */
  leave() {
    this.pen.cancel();
    this.viewer.chooser.close();
    this._ink();
  }

  /** @returns {boolean}  whether there was something to leave */
  escape() {
    const begun = this.pen.busy || this.selected !== null || this.crosshair !== null;
    this.pen.cancel();
    this.crosshair = null;
    this.select(null);
    return begun;
  }

  /** @param {string|null} id */
  select(id) {
    this.selected = id;
    this.viewer.marks.show(this.marks, id);
    this._ink();
  }

  /** @param {string} id */
  remove(id) {
    if (id === "") return; // on its way: not in the log yet
    const { store } = this.viewer;
    this.viewer.timeStroke();
    store.act({ act: "undo", of: id }).then(() => store.say(strings.viewer.removed), () => {});
    if (this.selected === id) this.select(null);
  }

  /**
   * Move the crosshair by keys.
   * @param {number} across  CSS pixels
   * @param {number} down
   */
  steer(across, down) {
    const { stage } = this.viewer;
    if (stage.photo === null) return;
    const { scale } = stage.view;
    const middle = toPhoto(stage.view, [stage.pane.width / 2, stage.pane.height / 2]);
    const [x, y] = this.crosshair ?? this.pointer ?? middle;
    this.crosshair = within(x + across / scale, y + down / scale, stage.photo);
    this.pointer = null;
    this._touch = false;
    this.pen.move(this.crosshair);
    const view = following(stage.view, this.crosshair, stage.photo, stage.pane);
    if (view !== stage.view) stage.setView(view);
    this._ink();
    clearTimeout(this._timer);
    this._timer = window.setTimeout(() => this._announce(), PAUSE);
  }

  /** The key Enter: what a click at the crosshair does. @returns {boolean} */
  enter() {
    const { stage, store } = this.viewer;
    if (this.crosshair === null) {
      if (!this.pen.busy) return false;
      this._finish(this.pen.close());
      return true;
    }
    const { tool } = store.view;
    const at = toScreen(stage.view, this.crosshair);
    if (tool === "segment" || tool === "pan") this._click(this.crosshair, at);
    else this._finish(this.pen.enter(this.crosshair));
    return true;
  }

  /** Where a zoom by keys keeps the photo: at the crosshair or the pointer. */
  anchor() {
    const place = this.crosshair ?? this.pointer;
    return place === null ? undefined : toScreen(this.viewer.stage.view, place);
  }

  /**
   * Everything over photo and mask.
   * @param {CanvasRenderingContext2D} ink
   * @param {View} view
   * @param {number} pane
   */
  draw(ink, view, pane) {
    const { store, stage } = this.viewer;
    const { tool, title, hidden } = store.view;
    const colourOf = (/** @type {string} */ name) => this.viewer.colourOf(name);
    const colour = tool === "eraser" ? ERASER : title === "" ? "#f5d90a" : colourOf(title);
    const marked = stage.mode !== "side" || pane === 1;
    if (!hidden && marked) drawMarks(ink, view, this.marks, colourOf, this.selected);
    const place = this.crosshair ?? this.pointer;
    if (tool === "segment" && place !== null) this.under.draw(ink, view, place);
    const { points, here } = this.pen;
    if (tool === "brush" || tool === "eraser") {
      const { radius } = this.pen;
      if (points.length > 0) {
        drawBand(ink, view, points, radius, colour, 0.5);
        drawLine(ink, view, points, { colour, dashed: tool === "eraser" });
      }
      if (place !== null) drawBrush(ink, view, place, radius, colour);
    } else if (tool === "polygon" && points.length > 0) {
      drawLine(ink, view, here === null ? points : [...points, here], { colour });
      drawCorners(ink, view, points, colour);
    } else if (tool === "box" && points.length > 0 && here !== null) {
      const [[left, top], [right, bottom]] = [points[0], here];
      const ring = /** @type {Point[]} */ ([[left, top], [right, top], [right, bottom], [left, bottom]]);
      drawRings(ink, view, [ring], { colour, fill: 0.2 });
    }
    if (place !== null && (this.crosshair !== null || stage.mode === "side")) {
      drawCrosshair(ink, view, place);
    }
  }

  _ink() {
    this.viewer.stage.again("ink");
  }

  /** @param {Point} place */
  _byPointer(place) {
    this.crosshair = null;
    this.pointer = place;
  }

  /**
   * @param {Point} place  in the photo
   * @param {Point} at  on its pane
   */
  _click(place, at) {
    const { store, stage } = this.viewer;
    const { scale } = stage.view;
    switch (store.view.tool) {
      case "polygon":
        this._finish(this.pen.press(place, CLOSE / scale));
        this.pen.lift();
        return;
      case "segment":
        return this._ask(place, at);
      case "pan":
        return this.select(markAt(this.marks, place, SLACK / scale)?.id ?? null);
    }
  }

  /** @param {Point} place */
  _twice(place) {
    const { store, stage } = this.viewer;
    if (store.view.tool === "polygon") {
      const [last, before] = [this.pen.points.at(-1), this.pen.points.at(-2)];
      const near = CLOSE / stage.view.scale;
      if (last && before && Math.hypot(last[0] - before[0], last[1] - before[1]) < near) this.pen.back();
      this._finish(this.pen.close());
    } else if (store.view.tool === "pan") stage.zoom(2, toScreen(stage.view, place));
  }

  /** @param {Drawn|null} drawn */
  _finish(drawn) {
    this._ink();
    if (drawn === null) return;
    const { photo, store, chooser, stage } = this.viewer;
    if (photo === null) return;
    if (drawn.act === "erase") return this._send({ ...drawn, photo: photo.id });
    const send = (/** @type {string} */ title) => this._send({ ...drawn, photo: photo.id, title });
    if (store.view.title !== "") return send(store.view.title);
    const [x, y] = drawn.act === "box" ? [drawn.box[2], drawn.box[1]] : drawn.points[drawn.points.length - 1];
    const waiting = { ...markOf({ ...drawn, photo: photo.id, title: "" }) };
    this._sent.push(waiting); // drawn before it has a class: it stays until there is one
    this.marks = [...this.marks, waiting];
    chooser.ask({
      at: this._inStage(toScreen(stage.view, [x, y])),
      now: strings.viewer.noClass,
      reach: false,
      touch: this._touch,
      answer: (title) => {
        this.viewer.choose(title);
        send(title);
      },
      closed: () => {
        this._sent = this._sent.filter((mark) => mark !== waiting);
        this.marks = this.marks.filter((mark) => mark !== waiting);
        stage.field.focus({ preventScroll: true });
        this._ink();
      },
    });
  }

  /**
   * A mark, shown at once and sent.
   * @param {Extract<Act, {photo: number}>} act
   */
  _send(act) {
    const { store, photo } = this.viewer;
    this.viewer.timeStroke();
    const mark = markOf(act);
    this._sent.push(mark);
    this.marks = [...this.marks, mark];
    this._ink();
    const gone = () => {
      this._sent = this._sent.filter((one) => one !== mark);
    };
    store.act(act).then(
      ({ event }) => {
        mark.id = event ?? ""; // the marks of the photo, asked for again, have it under this id
        gone();
        if (photo !== null) this.viewer.marks.show(this.marks, this.selected);
      },
      () => {
        gone();
        this.marks = this.marks.filter((one) => one !== mark);
        this._ink();
      },
    );
  }

  /**
   * What is this region?
   * @param {Point} place
   * @param {Point} at
   */
  _ask(place, at) {
    const { store, stage, chooser, photo } = this.viewer;
    const { under } = this;
    const shown = under.regionAt(place);
    if (shown === null || photo === null) return;
    const node = under.nodeOf(under.leafAt(place));
    under.held = true;
    chooser.ask({
      at: this._inStage(at),
      now: strings.viewer.now(under.titleAt(place) || strings.viewer.nameless),
      reach: node !== null,
      touch: this._touch,
      answer: (title, reach) => {
        this.viewer.choose(title);
        if (reach === "everywhere" && node !== null) {
          store.act({ act: "name", node, title }).catch(() => {});
        } else {
          const rings = ringsInPhoto(shown.region, photo);
          this._send({ act: "segment", photo: photo.id, title, rings });
        }
      },
      closed: () => {
        under.release();
        stage.field.focus({ preventScroll: true });
        this._ink();
      },
    });
    this._ink();
  }

  /** @param {Point} at  on a pane @returns {Point} */
  _inStage([x, y]) {
    const { panes, mode } = this.viewer.stage;
    return [x + (mode === "side" ? panes[1].left : 0), y];
  }

  _announce() {
    if (this.crosshair === null) return;
    const title = this.under.titleAt(this.crosshair);
    const text = strings.viewer;
    const what = title === null ? text.unknown : title || text.nameless;
    const [x, y] = this.crosshair.map(Math.round);
    say(this.viewer.live, text.under(what, x, y));
  }
}

/**
 * A mark that is on its way, as the history will have it.
 * @param {Extract<Act, {photo: number}>} act
 * @returns {Mark}
 */
function markOf(act) {
  const { photo: _, ...rest } = act;
  const { title, ...own } = /** @type {any} */ (rest);
  return { id: "", ...own, ...(title === undefined ? {} : { class: title }) };
}

/**
 * What tells a mark from others before it has an id.
 * @param {Mark} mark
 */
function shapeOf(mark) {
  return JSON.stringify([mark.act, mark.class, mark.points, mark.box, mark.rings]);
}

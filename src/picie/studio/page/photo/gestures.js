/**
 * What pointers and wheel do on the stage: one finger or the left button works with the tool, two
 * fingers, the middle button, the space bar and the tool pan move the photo, the wheel zooms.
 */

import { panned, pinched } from "./view_transform.js";

/**
 * @typedef {import("./regions.js").Point} Point
 * @typedef {import("./stage.js").Stage} Stage
 * @typedef {import("../core/types.js").Tool} Tool
 *
 * @typedef {Object} Hand  what is to be done; places are in pixels of the photo
 * @property {() => Tool} tool
 * @property {() => boolean} holds  the space bar is held
 * @property {(event: PointerEvent) => void} begin  before anything else of a pointer that comes down
 * @property {(place: Point) => void} press
 * @property {(place: Point) => void} move
 * @property {(place: Point) => void} hover
 * @property {() => void} lift
 * @property {() => void} cancel
 * @property {(place: Point, event: PointerEvent) => void} click  a press that did not move
 * @property {(place: Point) => void} twice  a double click
 * @property {() => void} leave
 * @property {() => void} panned
 */

const SLOP = 6; // CSS pixels that a click may move
const DRAWS = new Set(["brush", "eraser", "box"]); // tools that draw while the pointer is down

/**
 * @param {Stage} stage
 * @param {Hand} hand
 * @returns {() => void}  stops it
 */
export function listenToPointers(stage, hand) {
  /** Where each pointer is, on its pane. @type {Map<number, Point>} */
  const down = new Map();
  /** @type {"none"|"draw"|"tap"|"pan"|"pinch"} */
  let doing = "none";
  /** @type {Point} */
  let began = [0, 0];
  const control = new AbortController();
  const { field } = stage;

  const start = (/** @type {PointerEvent} */ event) => {
    if (stage.photo === null || event.button > 1) return;
    field.setPointerCapture(event.pointerId);
    hand.begin(event);
    field.focus({ preventScroll: true });
    const place = stage.onPane(event);
    down.set(event.pointerId, place);
    if (down.size === 2) {
      hand.cancel();
      doing = "pinch";
      return;
    }
    if (down.size > 2) return;
    began = place;
    if (event.button === 1 || hand.tool() === "pan" || hand.holds()) doing = "pan";
    else if (DRAWS.has(hand.tool())) {
      doing = "draw";
      hand.press(stage.inPhoto(event));
    } else doing = "tap";
    field.classList.toggle("panning", doing === "pan");
    event.preventDefault();
  };

  const move = (/** @type {PointerEvent} */ event) => {
    if (stage.photo === null) return;
    const before = down.get(event.pointerId);
    if (before === undefined) return hand.hover(stage.inPhoto(event));
    const place = stage.onPane(event);
    if (doing === "draw") {
      const all = event.getCoalescedEvents?.() ?? [];
      for (const one of all.length > 0 ? all : [event]) hand.move(stage.inPhoto(one));
    } else if (doing === "pinch" && down.size === 2) {
      const fingers = [...down.keys()];
      const points = (/** @type {Point} */ own) => /** @type {[Point, Point]} */ (
        fingers.map((id) => (id === event.pointerId ? own : down.get(id))));
      stage.setView(pinched(stage.view, points(before), points(place), stage.photo, stage.pane));
    } else if (doing === "pan" || (doing === "tap" && far(began, place))) {
      const from = doing === "tap" ? began : before; // a drag of a tool that only clicks pans
      doing = "pan";
      const [across, below] = [place[0] - from[0], place[1] - from[1]];
      stage.setView(panned(stage.view, across, below, stage.photo, stage.pane));
      hand.panned();
    }
    down.set(event.pointerId, place);
  };

  const end = (/** @type {PointerEvent} */ event) => {
    const place = down.get(event.pointerId);
    if (!down.delete(event.pointerId) || place === undefined) return;
    if (doing === "draw") hand.lift();
    const clicked = doing === "tap" || (doing === "pan" && !far(began, place));
    if (clicked && event.button === 0) hand.click(stage.inPhoto(event), event);
    if (down.size === 0) doing = "none";
    field.classList.remove("panning");
  };

  const drop = (/** @type {PointerEvent} */ event) => {
    if (!down.delete(event.pointerId)) return;
    if (doing === "draw") hand.cancel();
    if (down.size === 0) doing = "none";
  };

  const wheel = (/** @type {WheelEvent} */ event) => {
    if (stage.photo === null) return;
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
    if (event.shiftKey) {
      const across = (event.deltaX || event.deltaY) * unit;
      stage.setView(panned(stage.view, -across, 0, stage.photo, stage.pane));
      return;
    }
    const speed = event.ctrlKey ? 0.01 : 0.0016; // Ctrl: a pinch on a touch pad
    const factor = Math.exp(-Math.max(-600, Math.min(600, event.deltaY * unit)) * speed);
    stage.zoom(factor, stage.onPane(event));
  };

  const on = (/** @type {string} */ kind, /** @type {(event: any) => void} */ act) =>
    field.addEventListener(kind, act, { signal: control.signal, passive: false });
  on("pointerdown", start);
  on("pointermove", move);
  on("pointerup", end);
  on("pointercancel", drop);
  on("pointerleave", () => hand.leave());
  on("wheel", wheel);
  on("dblclick", (event) => hand.twice(stage.inPhoto(event)));
  return () => control.abort();
}

/**
 * @param {Point} one
 * @param {Point} other
 */
function far(one, other) {
  return Math.hypot(one[0] - other[0], one[1] - other[1]) > SLOP;
}

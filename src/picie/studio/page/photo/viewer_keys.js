/** The keys of the large view. */

import { keys } from "../core/keys.js";
import { strings } from "../core/strings.js";
import { IGNORE, TOOLS } from "./toolbar.js";
import { ZOOM_STEP, panned } from "./view_transform.js";

const STEP = 5; // of the crosshair, CSS pixels
const FAST = 40;
const PAN = 60;
const RADII = { least: 1, most: 200, factor: 1.25 };

/** @type {[string, number, number][]} */
const ARROWS = [
  ["ArrowLeft", -1, 0],
  ["ArrowRight", 1, 0],
  ["ArrowUp", 0, -1],
  ["ArrowDown", 0, 1],
];

/**
 * @param {import("./viewer.js").Viewer} viewer
 * @returns {() => void}  unbinds them
 */
export function bindKeys(viewer) {
  const { store, stage, tools } = viewer;
  const text = strings.viewer;
  /** @type {(() => void)[]} */
  const ends = [];
  /**
   * @param {string} key
   * @param {string} label
   * @param {() => void|boolean} act
   * @param {() => void} [release]
   */
  const bind = (key, label, act, release) => {
    ends.push(keys.add("photos", key, label, act, release));
  };
  const size = (/** @type {number} */ factor) => {
    const radius = Math.min(RADII.most, Math.max(RADII.least, store.view.radius * factor));
    store.look({ radius: Math.round(radius * 10) / 10 });
  };

  for (const [tool, key] of TOOLS) bind(key, text.tool[tool], () => store.look({ tool }));
  for (let place = 0; place < 9; place += 1) {
    bind(String(place + 1), text.classKey, () => viewer.chooseSlot(place));
  }
  bind("i", text.ignoreKey, () => viewer.choose(IGNORE));
  bind("n", text.newClass, () => viewer.classes.field.focus());
  bind("[", text.smaller, () => size(1 / RADII.factor));
  bind("]", text.larger, () => size(RADII.factor));
  bind("Enter", text.enter, () => tools.enter());
  bind("Backspace", text.backspace, () => {
    if (!tools.pen.back()) return false;
    stage.again("ink");
    return true;
  });
  bind("Delete", text.removeKey, () => {
    if (tools.selected === null) return false;
    tools.remove(tools.selected);
    return true;
  });
  bind("Escape", text.escape, () => tools.escape());
  for (const [key, across, down] of ARROWS) {
    const pan = () => {
      if (stage.photo === null) return;
      stage.setView(panned(stage.view, -PAN * across, -PAN * down, stage.photo, stage.pane));
    };
    const steer = (/** @type {number} */ step) => () => {
      if (store.view.tool === "pan") pan();
      else tools.steer(step * across, step * down);
    };
    bind(key, text.crosshair, steer(STEP));
    bind(`Shift+${key}`, text.crosshairFast, steer(FAST));
    bind(`Ctrl+${key}`, text.tool.pan, pan);
  }
  bind("Space", text.next, () => {
    tools.space = true;
    tools.dragged = false;
    stage.field.classList.add("holding");
  }, () => {
    tools.space = false;
    stage.field.classList.remove("holding");
    if (!tools.dragged) void viewer.next(); // held to move the photo otherwise
  });
  bind("Shift+Space", text.back, () => viewer.back());
  bind("a", text.accept, () => viewer.toggleAccepted());
  bind("+", text.zoomIn, () => stage.zoom(ZOOM_STEP, tools.anchor()));
  bind("=", "", () => stage.zoom(ZOOM_STEP, tools.anchor()));
  bind("-", text.zoomOut, () => stage.zoom(1 / ZOOM_STEP, tools.anchor()));
  bind("0", text.fit, () => stage.fit());
  bind("z", text.actual, () => stage.zoom(1 / stage.view.scale, tools.anchor()));
  bind("d", text.mode, () => viewer.nextMode());

  return () => {
    for (const end of ends) end();
  };
}

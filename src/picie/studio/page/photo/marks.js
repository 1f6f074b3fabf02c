/** Drawing over a photo: marks, regions, what a tool has begun, the crosshair. */

import { lineOf, ringsOf } from "./shapes.js";
import { toScreen } from "./view_transform.js";

/**
 * @typedef {import("./regions.js").Point} Point
 * @typedef {import("./shapes.js").Mark} Mark
 * @typedef {import("./view_transform.js").View} View
 * @typedef {CanvasRenderingContext2D} Ink
 */

const CASING = "rgba(0, 0, 0, 0.7)"; // below every line, so that it shows on any photo
const ERASED = "#ffffff";

/**
 * @param {Ink} ink
 * @param {View} view
 * @param {readonly Mark[]} marks  in the order they were made
 * @param {(title: string) => string} colourOf
 * @param {string | null} selected  id of a mark
 */
export function drawMarks(ink, view, marks, colourOf, selected) {
  for (const mark of marks) {
    const colour = mark.act === "erase" ? ERASED : colourOf(mark.class ?? "");
    const style = { colour, width: mark.id === selected ? 4 : 2, dashed: mark.act === "erase" };
    const line = lineOf(mark);
    if (line.length > 0) {
      drawBand(ink, view, line, mark.radius ?? 0, colour, mark.act === "erase" ? 0.12 : 0.25);
      drawLine(ink, view, line, style);
    } else {
      drawRings(ink, view, ringsOf(mark), style);
    }
  }
}

/**
 * Closed rings as outlines.
 * @param {Ink} ink
 * @param {View} view
 * @param {readonly (readonly Point[])[]} rings
 * @param {{colour: string, width?: number, dashed?: boolean, fill?: number}} style  `fill`: opacity
 */
export function drawRings(ink, view, rings, { colour, width = 2, dashed = false, fill = 0 }) {
  ink.beginPath();
  for (const ring of rings) {
    trace(ink, view, ring);
    ink.closePath();
  }
  if (fill > 0) {
    ink.globalAlpha = fill;
    ink.fillStyle = colour;
    ink.fill("evenodd");
    ink.globalAlpha = 1;
  }
  outline(ink, colour, width, dashed);
}

/**
 * An open line; a single point is a dot.
 * @param {Ink} ink
 * @param {View} view
 * @param {readonly Point[]} line
 * @param {{colour: string, width?: number, dashed?: boolean}} style
 */
export function drawLine(ink, view, line, { colour, width = 2, dashed = false }) {
  ink.beginPath();
  trace(ink, view, line);
  if (line.length === 1) ink.lineTo(...toScreen(view, [line[0][0] + 0.01, line[0][1]]));
  outline(ink, colour, width, dashed);
}

/**
 * What a brush covers.
 * @param {Ink} ink
 * @param {View} view
 * @param {readonly Point[]} line
 * @param {number} radius  in pixels of the photo
 * @param {string} colour
 * @param {number} opacity
 */
export function drawBand(ink, view, line, radius, colour, opacity) {
  ink.beginPath();
  trace(ink, view, line);
  if (line.length === 1) ink.lineTo(...toScreen(view, [line[0][0] + 0.01, line[0][1]]));
  ink.globalAlpha = opacity;
  ink.strokeStyle = colour;
  ink.lineJoin = "round";
  ink.lineCap = "round";
  ink.lineWidth = Math.max(1, 2 * radius * view.scale);
  ink.stroke();
  ink.globalAlpha = 1;
}

/**
 * The corners of an area that is not finished.
 * @param {Ink} ink
 * @param {View} view
 * @param {readonly Point[]} corners
 * @param {string} colour
 */
export function drawCorners(ink, view, corners, colour) {
  corners.forEach((corner, place) => {
    const [x, y] = toScreen(view, corner);
    ink.beginPath();
    ink.arc(x, y, place === 0 ? 5 : 3, 0, 2 * Math.PI);
    ink.fillStyle = colour;
    ink.fill();
    outline(ink, "#ffffff", 1, false);
  });
}

/**
 * The cursor of the keys.
 * @param {Ink} ink
 * @param {View} view
 * @param {Point} place
 */
export function drawCrosshair(ink, view, place) {
  const [x, y] = toScreen(view, place);
  ink.beginPath();
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    ink.moveTo(x + 4 * dx, y + 4 * dy);
    ink.lineTo(x + 14 * dx, y + 14 * dy);
  }
  outline(ink, "#ffffff", 2, false);
}

/**
 * The circle that brush and eraser cover.
 * @param {Ink} ink
 * @param {View} view
 * @param {Point} place
 * @param {number} radius  in pixels of the photo
 * @param {string} colour
 */
export function drawBrush(ink, view, place, radius, colour) {
  const [x, y] = toScreen(view, place);
  ink.beginPath();
  ink.arc(x, y, Math.max(1.5, radius * view.scale), 0, 2 * Math.PI);
  outline(ink, colour, 1.5, false);
}

/**
 * @param {Ink} ink
 * @param {View} view
 * @param {readonly Point[]} points
 */
function trace(ink, view, points) {
  points.forEach((point, place) => {
    const [x, y] = toScreen(view, point);
    if (place === 0) ink.moveTo(x, y);
    else ink.lineTo(x, y);
  });
}

/**
 * @param {Ink} ink
 * @param {string} colour
 * @param {number} width
 * @param {boolean} dashed
 */
function outline(ink, colour, width, dashed) {
  ink.lineJoin = "round";
  ink.lineCap = "round";
  ink.strokeStyle = CASING;
  ink.lineWidth = width + 2;
  ink.stroke();
  ink.strokeStyle = colour;
  ink.lineWidth = width;
  ink.setLineDash(dashed ? [6, 6] : []);
  ink.stroke();
  ink.setLineDash([]);
}

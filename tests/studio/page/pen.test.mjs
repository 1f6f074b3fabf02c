import assert from "node:assert/strict";
import { test } from "node:test";

import { Pen } from "../../../src/picie/studio/page/photo/pen.js";

/** @param {import("../../../src/picie/studio/page/core/types.js").Tool} tool */
function pen(tool) {
  const made = new Pen({ width: 480, height: 360 });
  made.tool = tool;
  return made;
}

test("a stroke is what was drawn while the pointer was down", () => {
  const brush = pen("brush");
  brush.radius = 4.26;
  brush.move([5, 5]);
  assert.equal(brush.press([10, 10]), null);
  brush.move([60, 10]);
  brush.move([60, 50]);
  assert.ok(brush.busy);
  assert.deepEqual(brush.lift(), {
    act: "stroke",
    points: [
      [10, 10],
      [60, 10],
      [60, 50],
    ],
    radius: 4.3,
  });
  assert.ok(!brush.busy);
  assert.equal(brush.lift(), null);
});

test("a dot is a stroke, and the eraser erases", () => {
  const eraser = pen("eraser");
  eraser.press([10, 10]);
  assert.deepEqual(eraser.lift(), { act: "erase", points: [[10, 10]], radius: 8 });
});

test("by keys, Enter puts the brush down and lifts it", () => {
  const brush = pen("brush");
  assert.equal(brush.enter([10, 10]), null);
  brush.move([30, 10]);
  assert.deepEqual(brush.enter([50, 10])?.points, [
    [10, 10],
    [50, 10],
  ]);
});

test("a radius is never larger than the photo", () => {
  const brush = pen("brush");
  brush.radius = 9999;
  brush.press([1, 1]);
  assert.equal(brush.lift()?.radius, 480);
});

test("a polygon closes at its first corner, by Enter or by a double click", () => {
  const corners = [
    [10, 10],
    [100, 10],
    [100, 90],
  ];
  const one = pen("polygon");
  for (const corner of corners) {
    assert.equal(one.press(corner, 5), null);
    assert.equal(one.lift(), null);
  }
  assert.deepEqual(one.press([12, 12], 5), { act: "polygon", points: corners });
  const other = pen("polygon");
  for (const corner of corners) assert.equal(other.enter(corner), null);
  assert.deepEqual(other.enter(corners[2]), { act: "polygon", points: corners });
  const twice = pen("polygon");
  for (const corner of [...corners, corners[2]]) twice.press(corner, 0);
  assert.deepEqual(twice.close(), { act: "polygon", points: corners });
});

test("a polygon of two corners is not finished, and corners can be taken back", () => {
  const polygon = pen("polygon");
  polygon.press([1, 1]);
  polygon.press([9, 1]);
  assert.equal(polygon.close(), null);
  assert.equal(polygon.points.length, 2);
  assert.ok(polygon.back());
  assert.ok(polygon.back());
  assert.ok(!polygon.back());
  polygon.press([1, 1]);
  polygon.cancel();
  assert.ok(!polygon.busy);
});

test("a box is drawn by dragging, by two clicks, or by two Enters", () => {
  const wanted = { act: "box", box: [10, 20, 50, 60] };
  const dragged = pen("box");
  dragged.press([50, 20]);
  dragged.move([10, 60]);
  assert.deepEqual(dragged.lift(), wanted);
  const clicked = pen("box");
  clicked.press([10, 20]);
  assert.equal(clicked.lift(), null);
  clicked.move([30, 30]);
  clicked.press([50, 60]);
  assert.deepEqual(clicked.lift(), wanted);
  const typed = pen("box");
  assert.equal(typed.enter([10, 20]), null);
  typed.move([50, 60]);
  assert.deepEqual(typed.enter([50, 60]), wanted);
});

test("what is drawn outside keeps to the photo", () => {
  const box = pen("box");
  box.press([-5, -5]);
  box.move([900, 900]);
  assert.deepEqual(box.lift(), { act: "box", box: [0, 0, 480, 360] });
});

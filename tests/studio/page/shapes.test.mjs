import assert from "node:assert/strict";
import { test } from "node:test";

import {
  boxBetween,
  distanceToLine,
  holds,
  markAt,
  middleOf,
  ringsOf,
  simplify,
  strokeToSend,
  within,
} from "../../../src/picie/studio/page/photo/shapes.js";

const PHOTO = { width: 480, height: 360 };

function wave(count) {
  return Array.from({ length: count }, (_, step) => {
    const x = (step * 400) / count;
    return [x, 180 + 90 * Math.sin(x / 17)];
  });
}

test("a straight line keeps its ends", () => {
  const line = Array.from({ length: 50 }, (_, step) => [step, 2 * step]);
  assert.deepEqual(simplify(line, 0.5), [
    [0, 0],
    [49, 98],
  ]);
});

test("no point of a stroke is further than a pixel from what is sent", () => {
  const drawn = wave(3000);
  const sent = strokeToSend(drawn, PHOTO);
  assert.ok(sent.length < 300, `${sent.length}`);
  for (const point of drawn) assert.ok(distanceToLine(point, sent) <= 1);
  for (const point of sent) assert.ok(distanceToLine(point, drawn) <= 1);
});

test("a dot is one point, and a line that comes back is not lost", () => {
  assert.deepEqual(strokeToSend([[3.14159, 2]], PHOTO), [[3.1, 2]]);
  const back = [
    [10, 10],
    [60, 10],
    [10, 10],
  ];
  assert.deepEqual(strokeToSend(back, PHOTO), back);
});

test("a stroke that leaves the photo keeps to its edge", () => {
  const sent = strokeToSend(
    [
      [-20, 50],
      [200, 400],
      [500, 100],
    ],
    PHOTO,
  );
  assert.deepEqual(sent, [
    [0, 50],
    [200, 360],
    [480, 100],
  ]);
  assert.deepEqual(within(480.04, -0.2, PHOTO), [480, 0]);
});

test("a line is made short enough for the history", () => {
  const ragged = Array.from({ length: 2000 }, (_, step) => [step % 480, step % 2 ? 100 : 140]);
  assert.ok(strokeToSend(ragged, PHOTO, 200).length <= 200);
});

test("a box goes from its upper left to its lower right corner", () => {
  assert.deepEqual(boxBetween([9, 2], [4, 7]), [4, 2, 9, 7]);
  assert.equal(boxBetween([4, 2], [4, 7]), null);
});

test("an area holds what is inside, not its hole", () => {
  const rings = [
    ...ringsOf({ id: "1", act: "box", class: "road", box: [0, 0, 10, 10] }),
    ...ringsOf({ id: "2", act: "box", class: "road", box: [4, 4, 6, 6] }),
  ];
  assert.ok(holds(rings, 1, 1));
  assert.ok(!holds(rings, 5, 5));
  assert.ok(!holds(rings, 11, 5));
});

test("the last mark at a place is found", () => {
  const marks = [
    { id: "area", act: "polygon", class: "a", points: [[0, 0], [100, 0], [0, 100]] },
    { id: "line", act: "stroke", class: "b", points: [[0, 0], [50, 0]], radius: 5 },
    { id: "far", act: "erase", points: [[300, 300]], radius: 1 },
    { id: "cluster", act: "cluster", class: "b", point: [200, 20] },
  ];
  assert.equal(markAt(marks, [20, 4], 0)?.id, "line");
  assert.equal(markAt(marks, [20, 8], 0)?.id, "area");
  assert.equal(markAt(marks, [20, 8], 4)?.id, "line");
  assert.equal(markAt(marks, [302, 300], 2)?.id, "far");
  assert.equal(markAt(marks, [201, 20], 2)?.id, "cluster");
  assert.equal(markAt(marks, [400, 20], 2), null);
  assert.deepEqual(middleOf(marks[1]), [25, 0]);
});

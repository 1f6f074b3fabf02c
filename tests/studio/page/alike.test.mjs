import assert from "node:assert/strict";
import { test } from "node:test";

import { mostAlike } from "../../../src/picie/studio/page/clusters/alike.js";

const COSINES = [
  [100, 80, 10, -20],
  [80, 100, 30, 0],
  [10, 30, 100, 90],
  [-20, 0, 90, 100],
];
const group = (/** @type {string} */ title, /** @type {number[]} */ leaves) => ({
  title, node: leaves[0], leaves,
});

test("the two most similar leaves decide", () => {
  const found = mostAlike(COSINES, [0, 1], [group("sky", [2, 3]), group("wall", [3])]);
  assert.deepEqual(found, [
    { title: "sky", node: 2, cosine: 0.3 },
    { title: "wall", node: 3, cosine: 0 },
  ]);
});

test("groups that share a leaf are left out, and leaves without centroid too", () => {
  assert.deepEqual(mostAlike(COSINES, [0], [group("own", [0, 2]), group("strokes", [7])]), []);
});

test("no more than asked for, equal ones by node", () => {
  const found = mostAlike(COSINES, [0], [group("b", [2]), group("a", [1]), group("c", [3])], 2);
  assert.deepEqual(found.map((one) => one.title), ["a", "b"]);
});

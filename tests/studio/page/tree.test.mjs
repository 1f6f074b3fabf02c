import assert from "node:assert/strict";
import test from "node:test";

import { Tree } from "../../../src/picie/studio/page/core/tree.js";

// 0 and 3 merge to 5, 1 and 2 to 6, 5 and 4 to 7, 7 and 6 to 8
const tree = new Tree(5, [[0, 3, 1], [1, 2, 2], [5, 4, 3], [7, 6, 4]]);

test("members of nodes are the leaves below them", () => {
  assert.deepEqual(tree.members[7], [0, 3, 4]);
  assert.deepEqual(tree.members[8], [0, 3, 4, 1, 2]);
  assert.deepEqual(tree.children(7), [5, 4]);
  assert.equal(tree.children(2), null);
  assert.equal(tree.parents[6], 8);
  assert.equal(tree.root, 8);
});

test("a cut at K has K groups, in the order of their first leaves", () => {
  assert.deepEqual(tree.cut(5), [[0], [1], [2], [3], [4]]);
  assert.deepEqual(tree.cut(3), [[0, 3], [1, 2], [4]]);
  assert.deepEqual(tree.cut(2), [[0, 3, 4], [1, 2]]);
  assert.deepEqual(tree.cut(1), [[0, 1, 2, 3, 4]]);
});

test("equal heights are not cut apart", () => {
  const flat = new Tree(4, [[0, 1, 1], [2, 3, 1], [4, 5, 2]]);
  assert.deepEqual(flat.cut(3), [[0, 1], [2, 3]]);
});

test("a cover is the largest nodes, by first leaf", () => {
  assert.deepEqual(tree.cover([0, 3, 4]), [7]);
  assert.deepEqual(tree.cover([3, 4, 1, 2]), [6, 3, 4]);
  assert.deepEqual(tree.cover([]), []);
  assert.deepEqual(tree.cover([0, 1, 2, 3, 4, 9]), [8]);
});

test("without a tree each leaf stands for itself", () => {
  const none = new Tree(3, []);
  assert.deepEqual(none.cover([0, 2]), [0, 2]);
  assert.deepEqual(none.cut(3), [[0], [1], [2]]);
  assert.equal(none.root, -1);
});

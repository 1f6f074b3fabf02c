import assert from "node:assert/strict";
import test from "node:test";

import { doubtful, grid, ordered, rowsIn } from "../../../src/picie/studio/page/wall/wall_order.js";

const shares = [0.2, NaN, 0.9, 0, 0.2];
const known = {
  times: [3, 1, 5, 2, 4], doubts: [0.1, NaN, 0.3, 0.2, 0.1], share: (id) => shares[id],
  changed: (id) => id === 3, touched: { 1: 2 }, accepted: [4],
};

test("orders", () => {
  assert.deepEqual(ordered(5, "name", "all", known), [0, 1, 2, 3, 4]);
  assert.deepEqual(ordered(5, "share", "all", known), [2, 0, 4, 3, 1]);
  assert.deepEqual(ordered(5, "doubt", "all", known), [2, 3, 0, 4, 1]);
  assert.deepEqual(ordered(5, "newest", "all", known), [2, 4, 0, 3, 1]);
  assert.deepEqual(ordered(5, "doubt", "all", { ...known, doubts: null }), [0, 1, 2, 3, 4]);
});

test("filters", () => {
  assert.deepEqual(ordered(5, "name", "with", known), [0, 2, 4]);
  assert.deepEqual(ordered(5, "name", "touched", known), [1]);
  assert.deepEqual(ordered(5, "name", "accepted", known), [4]);
  assert.deepEqual(ordered(5, "name", "changed", known), [3]);
});

test("tiles fill the width", () => {
  assert.deepEqual(grid(1000, 200, 2, 10), { columns: 5, width: 192, height: 96, step: 106 });
  assert.equal(grid(100, 400, 1, 10).columns, 1);
  const { columns, width } = grid(1337, 220, 4 / 3, 8);
  assert.ok(columns * width + (columns - 1) * 8 <= 1337);
});

test("rows in view and near it", () => {
  assert.deepEqual(rowsIn(0, 500, 100, 1000), { first: 0, last: 10, seenFirst: 0, seenLast: 5 });
  assert.deepEqual(rowsIn(5050, 500, 100, 1000), { first: 44, last: 62, seenFirst: 50, seenLast: 56 });
  assert.deepEqual(rowsIn(99990, 500, 100, 1000), { first: 997, last: 1000, seenFirst: 999, seenLast: 1000 });
  assert.deepEqual(rowsIn(0, 500, 100, 0), { first: 0, last: 0, seenFirst: 0, seenLast: 0 });
});

test("the least sure tenth", () => {
  const doubts = Float32Array.from({ length: 100 }, (_, id) => (id === 5 ? NaN : id));
  assert.equal(doubtful(doubts), 90);
  assert.equal(doubtful([1, 2]), Infinity);
  assert.equal(doubtful(null), Infinity);
});

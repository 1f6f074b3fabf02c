import assert from "node:assert/strict";
import test from "node:test";

import { coverOf, keysOf, leafAt, winner } from "../../../src/picie/studio/page/painting/votes.js";

const map = { id: 0, version: 0, w: 3, h: 2, data: new Uint8Array([0, 1, 2, 3, 1, 2]) };
const table = new Uint16Array([7, 8, 9, 7]);

/** The same by the definition, in floating point. */
function slow({ w, h, data }, keys, width, height, x, y) {
  const [u, v] = [((x + 0.5) * w) / width - 0.5, ((y + 0.5) * h) / height - 0.5];
  const weights = new Map();
  for (const [i, j] of [[0, 0], [1, 0], [0, 1], [1, 1]]) {
    const [cx, cy] = [Math.floor(u) + i, Math.floor(v) + j];
    const weight = (1 - Math.abs(u - cx)) * (1 - Math.abs(v - cy));
    const cell = Math.min(h - 1, Math.max(0, cy)) * w + Math.min(w - 1, Math.max(0, cx));
    const key = keys[data[cell]];
    weights.set(key, (weights.get(key) ?? 0) + weight);
  }
  return weights;
}

test("each pixel has the key with the largest weight", () => {
  const [width, height] = [37, 23];
  const keys = keysOf(map, table, width, height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const weights = slow(map, table, width, height, x, y);
      const most = Math.max(...weights.values());
      assert.ok(weights.get(keys[y * width + x]) > most - 0.02, `${x} ${y}`);
    }
  }
});

test("as many pixels as cells give the cells", () => {
  assert.deepEqual([...keysOf(map, table, 3, 2)], [7, 8, 9, 7, 8, 9]);
});

test("of equal weights the first wins", () => {
  assert.equal(winner(1, 2, 3, 4, 128, 128), 1);
  assert.equal(winner(1, 2, 2, 4, 128, 128), 2);
  assert.equal(winner(1, 2, 3, 3, 128, 129), 3);
  assert.equal(winner(5, 5, 5, 6, 255, 255), 6);
});

test("leaves beyond the table have no key", () => {
  assert.deepEqual([...keysOf(map, new Uint16Array([4]), 3, 2)], [4, 65535, 65535, 65535, 65535, 65535]);
});

test("boundaries are blended over one pixel", () => {
  const two = { id: 0, version: 0, w: 2, h: 2, data: new Uint8Array([0, 1, 0, 1]) };
  const soft = { second: new Uint16Array(441), cover: new Uint8Array(441) };
  keysOf(two, new Uint16Array([0, 1]), 21, 21, undefined, null, soft);
  const mixed = [...soft.cover.slice(0, 21)].flatMap((cover, x) => (cover < 255 ? [x] : []));
  assert.deepEqual(mixed, [10]);
  assert.equal(coverOf(0, 100), 128);
  assert.equal(coverOf(100, 100), 255);
});

test("the leaf under a point is one that is painted there", () => {
  assert.equal(leafAt(map, table, 0.1, 0.2), 0);
  assert.equal(leafAt(map, table, 0.1, 0.8), 3); // the same key as leaf 0, but nearer
  assert.equal(leafAt(map, table, 0.99, 0.99), 2);
  assert.equal(leafAt(map, table, -1, 2), 3);
});

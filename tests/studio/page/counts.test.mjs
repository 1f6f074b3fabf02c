import assert from "node:assert/strict";
import test from "node:test";

import { Counts } from "../../../src/picie/studio/page/core/counts.js";

function made(rows, width, doubts = new Array(rows.length / width).fill(0)) {
  let told = 0;
  const counts = new Counts(
    {
      counts: () => Promise.resolve(new Uint16Array(rows).buffer),
      doubts: () => Promise.resolve(new Float32Array(doubts).buffer),
    },
    () => (told += 1),
  );
  return { counts, told: () => told };
}

test("shares of leaves, and of photos that were not counted", async () => {
  const { counts, told } = made([65535, 0, 16384, 49151, 65535, 65535], 2, [0.5, NaN, 1]);
  assert.ok(Number.isNaN(counts.share(0, [0])));
  await counts.load();
  assert.equal(told(), 1);
  assert.equal(counts.share(0, [0]), 1);
  assert.ok(Math.abs(counts.share(1, [1]) - 0.75) < 1e-4);
  assert.equal(counts.share(1, [0, 1]), 1);
  assert.equal(counts.share(1, [7]), 0);
  assert.ok(Number.isNaN(counts.share(2, [0])));
  assert.ok(Number.isNaN(counts.share(9, [0])));
  const totals = counts.totals();
  assert.ok(Math.abs(totals[0] - 0.625) < 1e-4 && Math.abs(totals[1] - 0.375) < 1e-4);
});

test("before the first answer nothing is known", () => {
  const { counts } = made([], 2);
  assert.equal(counts.rows(), null);
  assert.equal(counts.totals(), null);
  assert.equal(counts.doubts(), null);
});

test("what all counted photos say of a cluster", async () => {
  const { counts } = made([65535, 0, 16384, 49151, 65535, 65535, 60, 65475], 2, [0.5, NaN, 1, 0]);
  assert.equal(counts.summary([0]), null);
  await counts.load();
  const { share, photos } = counts.summary([0]);
  assert.equal(photos, 2); // 60 of 65535 is less than a photo must show
  assert.ok(Math.abs(share - (1 + 0.25 + 60 / 65535) / 3) < 1e-4);
  assert.deepEqual(counts.summary([7]), { share: 0, photos: 0 });
});

import assert from "node:assert/strict";
import { test } from "node:test";

import { sharesOf, sortedBy, toCsv } from "../../../src/picie/studio/page/core/shares.js";

const COUNTS = new Uint16Array([
  32768, 16384, 16383, // halves and quarters
  65535, 65535, 65535, // not processed yet
  0, 0, 65535,
  65535, 0, 0,
]);

test("means and numbers of photos leave out what is not counted yet", () => {
  const { photos, mean, found, rows } = sharesOf(COUNTS, 3, [[0, 1], [2], []]);
  assert.equal(photos, 3);
  assert.ok(Math.abs(mean[0] - 1.75 / 3) < 1e-4);
  assert.ok(Math.abs(mean[0] + mean[1] - 1) < 1e-4);
  assert.deepEqual([...found], [2, 2, 0]);
  assert.ok(Number.isNaN(rows[3]) && Number.isNaN(rows[4]));
  assert.ok(Math.abs(rows[0] - 0.75) < 1e-4);
});

test("no photos, no leaves", () => {
  assert.equal(sharesOf(new Uint16Array(0), 3, [[0]]).photos, 0);
  assert.equal(sharesOf(new Uint16Array(0), 0, []).photos, 0);
});

test("leaves beyond the counts are no mistake: strokes add them", () => {
  assert.equal(sharesOf(COUNTS, 3, [[5]]).mean[0], 0);
});

test("photos without a value are last in both directions", () => {
  const { rows } = sharesOf(COUNTS, 3, [[0], [2]]);
  assert.deepEqual(sortedBy(rows, 2, 0, true), [3, 0, 2, 1]);
  assert.deepEqual(sortedBy(rows, 2, 0, false), [2, 0, 3, 1]);
});

test("CSV quotes what needs it", () => {
  const rows = new Float32Array([0.25, 1, NaN, NaN]);
  assert.equal(
    toCsv(['a"b', "plain"], ["road, wet", "sky"], rows),
    'photo,"road, wet",sky\r\n"a""b",0.25000,1.00000\r\nplain,,\r\n',
  );
});

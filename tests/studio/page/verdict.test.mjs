import assert from "node:assert/strict";
import { test } from "node:test";

import {
  closeness, precisionRows, wrongRows,
} from "../../../src/picie/studio/page/check/verdict.js";

const RESULT = {
  accuracy: { value: 82, interval: [74, 88], checks: 100 },
  precision: {
    sky: { value: null, interval: [0, 100], checks: 0 },
    road: { value: 90, interval: [80, 95], checks: 40 },
  },
  share: { sky: 20, road: 60 },
  wrong: { road: { kerb: 1, "": 3 }, sky: { tree: 2 } },
  answered: 100, checks: 100, images: 10, images_of_folder: 10, without_class: 0,
};

test("classes by their share", () => {
  const rows = precisionRows(RESULT);
  assert.deepEqual(rows.map((row) => row.title), ["road", "sky"]);
  assert.equal(rows[1].value, null);
  assert.deepEqual([rows[0].low, rows[0].high], [80, 95]);
});

test("wrong ones by their number", () => {
  assert.deepEqual(wrongRows(RESULT).map((row) => [row.predicted, row.title, row.count]), [
    ["road", "", 3], ["sky", "tree", 2], ["road", "kerb", 1],
  ]);
});

test("closeness grows with the square of the width", () => {
  assert.equal(closeness(undefined, 5), 0);
  assert.equal(closeness({ value: 82, interval: [72, 92], checks: 30 }, 5), 0.25);
  assert.equal(closeness({ value: 82, interval: [79, 85], checks: 500 }, 5), 1);
});

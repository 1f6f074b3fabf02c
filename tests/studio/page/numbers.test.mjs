import assert from "node:assert/strict";
import { test } from "node:test";

import {
  counted, duration, expectation, percent, trainingSeconds,
} from "../../../src/picie/studio/page/results/numbers.js";

test("percent, as in the report", () => {
  assert.equal(percent(0.234), "23.4 %");
  assert.equal(percent(0.0001), "< 0.1 %");
  assert.equal(percent(0), "0.0 %");
  assert.equal(percent(NaN), "–");
});

test("counted", () => {
  assert.equal(counted(1, "photo"), "1 photo");
  assert.equal(counted(1234, "photo"), "1,234 photos");
  assert.equal(counted(2, "class", "classes"), "2 classes");
});

test("duration", () => {
  assert.equal(duration(1), "1 second");
  assert.equal(duration(125), "2 minutes");
  assert.equal(duration(7200), "2 hours");
  assert.equal(duration(7260), "2 hours 1 minute");
  assert.equal(duration(NaN), "–");
});

test("training of 367 photos was measured: 98 s, and best takes longer", () => {
  assert.ok(Math.abs(trainingSeconds(367, "fast") - 98) < 5);
  assert.ok(trainingSeconds(367, "best") > 1.5 * trainingSeconds(367, "fast"));
});

test("expectations are ranges", () => {
  assert.equal(expectation(60), "1 to 2 minutes");
  assert.equal(expectation(600), "8 to 16 minutes");
  assert.match(expectation(36_000), /^8 hours to 16 hours$/);
});

import assert from "node:assert/strict";
import test from "node:test";

import { commandOf } from "../../../src/picie/studio/page/core/command.js";

test("a trained run, and one that is to be trained, at the same port", () => {
  const status = { phase: "ready", run: "runs/first", folder: "/my photos" };
  assert.equal(commandOf(status, "8123"), 'picie studio runs/first "/my photos" --port 8123');
  const setup = { ...status, phase: "setup" };
  assert.equal(commandOf(setup, "8123"), 'picie studio "/my photos" --out runs/first --port 8123');
});

import assert from "node:assert/strict";
import test from "node:test";

import { Session } from "../../../src/picie/studio/page/core/session.js";
import { Store } from "../../../src/picie/studio/page/core/store.js";

globalThis.navigator ??= {};

test("news of the check are told, also when an older answer takes their place at once", () => {
  const frames = [];
  const store = new Store({
    frame: (callback) => frames.push(callback), storage: null, newKey: () => "key",
    get: () => Promise.resolve(null), post: () => Promise.resolve(null),
    maps: () => Promise.resolve(), bytes: () => Promise.resolve(new ArrayBuffer(0)),
  });
  const told = new Set();
  store.on((what) => what.forEach((one) => told.add(one)));
  new Session(store).on("check", { state: "ready", done: 0, total: 5 });
  store.put({ check: { state: "planning", done: 0, total: 5, question: null } });
  frames.forEach((callback) => callback());
  assert.ok(told.has("check.news"));
});

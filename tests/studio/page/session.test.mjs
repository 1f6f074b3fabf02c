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

test("counts are asked for only once the server has them", async () => {
  const asked = [];
  const store = new Store({
    frame: () => {}, storage: null, newKey: () => "key",
    get: () => Promise.resolve(null), post: () => Promise.resolve(null),
    maps: () => Promise.resolve(),
    bytes: (address) => {
      asked.push(address);
      return Promise.resolve(new ArrayBuffer(0));
    },
  });
  const session = new Session(store);
  const pass = () => new Promise((done) => setTimeout(done, 50));
  store.counts._last = -1e9;
  for (const phase of ["starting", "ready"]) {
    store.put({ status: { phase } });
    session.on("photos", {});
    session.on("progress", { done: 9, failed: 0, total: 9 });
    await pass();
    assert.equal(asked.length, phase === "ready" ? 2 : 0);
  }
});

test("a server of another start says what to do", async () => {
  const { fetch } = globalThis;
  globalThis.fetch = () => Promise.resolve(Response.json({ error: "open the address" }, { status: 401 }));
  const store = new Store({
    frame: () => {}, storage: null, newKey: () => "key",
    get: () => Promise.resolve(null), post: () => Promise.resolve(null),
    maps: () => Promise.resolve(), bytes: () => Promise.resolve(new ArrayBuffer(0)),
  });
  await new Session(store)._probe();
  globalThis.fetch = fetch;
  assert.equal(store.data.error, "open the address");
});

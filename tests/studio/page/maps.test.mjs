import assert from "node:assert/strict";
import test from "node:test";

import { MapStore } from "../../../src/picie/studio/page/core/maps.js";

const map = (id, version = 0) => ({ id, version, w: 1, h: 1, data: new Uint8Array([id & 255]) });
const settle = () => new Promise((resolve) => setTimeout(resolve, 1));

/** A server that answers when it is told to. */
function server() {
  const requests = [];
  const fetch = (ids, each, signal) =>
    new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(new Error("aborted")));
      requests.push({ ids: [...ids], each, resolve, signal });
    });
  return { fetch, requests };
}

function answer(request, version = 0) {
  for (const id of request.ids) request.each(map(id, version), id);
  request.resolve();
}

test("what is wanted is asked for once, in its order", async () => {
  const { fetch, requests } = server();
  const maps = new MapStore(fetch);
  const told = [];
  maps.on((ids) => told.push(...ids));
  maps.want([5, 3]);
  maps.want([5, 3, 9]);
  assert.deepEqual(requests.map((one) => one.ids), [[5, 3]]);
  answer(requests[0]);
  await settle();
  assert.deepEqual(requests.map((one) => one.ids), [[5, 3], [9]]);
  answer(requests[1]);
  await settle();
  assert.deepEqual(told, [5, 3, 9]);
  assert.equal(maps.get(3).id, 3);
  maps.want([5, 3, 9]);
  assert.equal(requests.length, 2);
});

test("a request is dropped when the view moves on", async () => {
  const { fetch, requests } = server();
  const maps = new MapStore(fetch);
  maps.want([1, 2]);
  maps.want([100, 101]);
  await settle();
  assert.equal(requests[0].signal.aborted, true);
  assert.deepEqual(requests[1].ids, [100, 101]);
});

test("a photo that was marked comes first", async () => {
  const { fetch, requests } = server();
  const maps = new MapStore(fetch);
  maps.want([1, 2, 3]);
  answer(requests[0]);
  await settle();
  maps.hurry(3);
  assert.equal(requests.length, 1);
  maps.outdate(1);
  assert.deepEqual(requests[1].ids, [3, 1, 2]);
  assert.equal(maps.get(1).version, 0);
  answer(requests[1], 1);
  await settle();
  assert.equal(maps.get(1).version, 1);
  assert.equal(maps.previous(1).version, 0);
});

test("what changed counts from before the marks, not from the quick fit", async () => {
  const { fetch, requests } = server();
  const maps = new MapStore(fetch);
  maps.want([1]);
  answer(requests[0]);
  await settle();
  maps.outdate(1);
  answer(requests[1], 1);
  await settle();
  maps.outdate(2, true);
  answer(requests[2], 2);
  await settle();
  assert.equal(maps.previous(1).version, 0);
  maps.forgetPrevious();
  assert.equal(maps.previous(1), null);
});

test("photos that cannot be read are not asked for again", async () => {
  const { fetch, requests } = server();
  const maps = new MapStore(fetch);
  maps.want([4]);
  requests[0].each(null, 4);
  requests[0].resolve();
  await settle();
  maps.want([4]);
  assert.equal(requests.length, 1);
  assert.ok(maps.failed.has(4));
});

test("2,000 maps are kept, the oldest go first", () => {
  const maps = new MapStore(() => Promise.resolve());
  for (let id = 0; id < 2100; id += 1) maps.put(map(id));
  assert.equal(maps.get(99), null);
  assert.equal(maps.get(100).id, 100);
  assert.equal(maps.get(2099).id, 2099);
});

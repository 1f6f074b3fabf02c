import assert from "node:assert/strict";
import test from "node:test";

import { ApiError, Gone } from "../../../src/picie/studio/page/core/api.js";
import { orphans } from "../../../src/picie/studio/page/core/outbox.js";
import { strings } from "../../../src/picie/studio/page/core/strings.js";
import { Store } from "../../../src/picie/studio/page/core/store.js";

const rows = [[0, 1, 1], [2, 3, 2], [4, 5, 3]];
const model = {
  centroids: 4, tree: rows, trained: 4, suggested: 2, alike: Array(4).fill(Array(4).fill(50)), taught: null,
  node_colours: ["#000000", "#dd1111", "#22dd22", "#3333dd", "#44aaaa", "#aa55aa", "#aaaa66"],
  palette: ["#ff0000", "#00ff00"],
};
const initial = {
  end: 1, clusters: 4, extra: [], questions: [], accepted: [], touched: {}, problems: [], classes: [],
  head: { version: 0, state: "none", marks: 0, notes: [] }, undo: null, redo: null, seconds: 0, acts: 0,
};
const road = { name: "road", colour: "#dd1111", ignore: false, nodes: [1], leaves: [1] };
const tick = () => new Promise((resolve) => setTimeout(resolve, 2));

class Memory {
  getItem(name) {
    return this[name] ?? null;
  }
  setItem(name, text) {
    this[name] = text;
  }
  removeItem(name) {
    delete this[name];
  }
}

/** A store whose server answers when it is told to. */
function made(storage = null) {
  const posts = [];
  let key = 0;
  const store = new Store({
    frame: (callback) => callback(), storage, newKey: () => `key${(key += 1)}`,
    get: () => Promise.resolve(null),
    post: (path, body) => new Promise((done, failed) => posts.push({ path, body, done, failed })),
    maps: () => new Promise(() => {}), bytes: () => Promise.resolve(new ArrayBuffer(0)),
  });
  store.putModel(model);
  store.putState(initial);
  return { store, posts };
}

test("a name shows at once, and the answer of the server takes its place", async () => {
  const { store, posts } = made();
  const sent = store.act({ act: "name", node: 1, title: "road" });
  assert.deepEqual(store.data.state.classes, [road]);
  assert.equal(store.data.saving, "saving");
  assert.equal(store.table().titles[store.table().keys[1]], "road");
  assert.deepEqual(posts[0].body, { page: store.page, key: "key2", act: "name", node: 1, title: "road" });
  const answer = { event: "e", said: ["node 1: road"], state: { ...initial, end: 2, classes: [road], undo: "x" } };
  posts[0].done(answer);
  assert.equal(await sent, answer);
  assert.equal(store.data.state.end, 2);
  assert.equal(store.data.saving, "saved");
  assert.deepEqual(store.moved(), [1]);
});

test("acts are posted one by one, in order; those on their way stay applied", async () => {
  const { store, posts } = made();
  void store.act({ act: "name", node: 1, title: "road" });
  void store.act({ act: "name", node: 2, title: "sky" });
  await tick();
  assert.equal(posts.length, 1);
  posts[0].done({ event: "e", said: [], state: { ...initial, end: 2, classes: [road] } });
  await tick();
  assert.equal(posts.length, 2);
  assert.deepEqual(store.data.state.classes.map((one) => one.name), ["road", "sky"]);
});

test("an act that is refused disappears, and the status line says why", async () => {
  const { store, posts } = made();
  const sent = store.act({ act: "name", node: 1, title: "cluster 3" });
  assert.equal(store.data.state.classes.length, 1);
  posts[0].failed(new ApiError(400, "'cluster 3' is reserved"));
  await assert.rejects(sent, /reserved/);
  assert.deepEqual(store.data.state.classes, []);
  assert.equal(store.data.error, "'cluster 3' is reserved");
  assert.equal(store.data.saving, "saved");
});

test("acts are kept while the server is gone, on disk too, and sent when it is back", async () => {
  const storage = new Memory();
  const { store, posts } = made(storage);
  store.outbox.keepFor("runs/a");
  void store.act({ act: "name", node: 1, title: "road" });
  void store.act({ act: "name", node: 2, title: "sky" });
  posts[0].failed(new Gone());
  await tick();
  assert.equal(store.data.gone, true);
  assert.equal(store.data.saving, "waiting");
  assert.equal(store.data.state.classes.length, 2);
  assert.deepEqual(JSON.parse(storage[`picie.acts.runs/a.${store.page}`]).map((one) => one.act.title), [
    "road", "sky",
  ]);
  store.outbox.wake();
  await tick();
  assert.equal(posts.length, 2);
  assert.equal(posts[1].body.key, posts[0].body.key);
  const answer = (classes, end) => ({ event: "e", said: [], state: { ...initial, end, classes } });
  posts[1].done(answer([road], 2));
  await tick();
  assert.equal(store.data.gone, false);
  posts[2].done(answer([road, { ...road, name: "sky", nodes: [2], leaves: [2] }], 3));
  await tick();
  assert.equal(storage[`picie.acts.runs/a.${store.page}`], undefined);
  assert.equal(store.data.saving, "saved");
});

test("what pages left behind is found, except that of pages that are open", async () => {
  const storage = new Memory();
  storage["picie.acts.runs/a.dead"] = JSON.stringify([{ act: { act: "undo" }, key: "k" }]);
  storage["picie.acts.runs/a.live"] = JSON.stringify([{ act: { act: "redo" }, key: "l" }]);
  storage["picie.acts.runs/b.dead"] = JSON.stringify([{ act: { act: "redo" }, key: "m" }]);
  storage["picie.acts.runs/a.bad"] = "[{";
  const found = await orphans(storage, "runs/a", (page) => Promise.resolve(page === "live"));
  assert.deepEqual(found, [{ act: { act: "undo" }, key: "k" }]);
  assert.deepEqual(Object.keys(storage).sort(), ["picie.acts.runs/a.live", "picie.acts.runs/b.dead"]);
});

test("listeners hear what changed, and only that", () => {
  const { store } = made();
  const heard = [];
  const off = store.on((what) => heard.push([...what]));
  store.look({ opacity: 0.2 });
  store.look({ opacity: 0.2 });
  store.look({ only: { name: "road" } });
  store.look({ only: { name: "road" } });
  off();
  store.look({ opacity: 0.9 });
  assert.deepEqual(heard, [["view.opacity"], ["view.only"]]);
});

test("a listener that fails does not stop the others", (context) => {
  context.mock.method(console, "error", () => {});
  const { store } = made();
  const heard = [];
  store.on(() => {
    throw new Error("a panel is broken");
  });
  store.on((what) => heard.push(...what));
  store.look({ opacity: 0.1 });
  assert.deepEqual(heard, ["view.opacity"]);
});

test("tables are made again only when something about them changes", () => {
  const { store } = made();
  const table = store.table();
  store.look({ sort: "name" });
  assert.equal(store.table(), table);
  store.look({ glow: { node: 1 } });
  assert.notEqual(store.table(), table);
  assert.equal(store.table().hot[store.table().keys[1]], 1);
});

test("undo waits for the server, and is not sent when there is nothing", async () => {
  const { store, posts } = made();
  await store.undo();
  assert.equal(posts.length, 0);
  store.putState({ ...initial, end: 2, classes: [road], undo: "road" });
  void store.undo();
  assert.equal(posts[0].body.act, "undo");
  assert.deepEqual(store.data.state.classes, [road]);
  posts[0].done({ event: "e", said: ["undone: names: node 1: road"], state: { ...initial, end: 3, redo: "road" } });
  await tick();
  assert.equal(store.data.said, "undone: cluster n1: road");
  assert.deepEqual(store.data.state.classes, []);
  assert.deepEqual(store.moved(), [1]);
});

test("acts of other pages show, and count as the last act", () => {
  const { store } = made();
  store.putState({ ...initial, end: 5, classes: [road] });
  assert.deepEqual(store.moved(), [1]);
  assert.deepEqual(store.groupOf(1).title, "road");
  assert.equal(store.groupOf(2).node, 2);
});

test("news of the head outdate maps and change the state", () => {
  const { store } = made();
  store.putHead({ version: 3, state: "quick" });
  assert.equal(store.maps.version, 3);
  assert.equal(store.data.state.head.state, "quick");
  assert.equal(store.data.state.head.marks, 0);
});

test("the answer to a request does not undo later news of a job", () => {
  const { store } = made();
  const job = { id: "1", kind: "export", label: "", done: 0, total: 0, message: "", out: null, command: "" };
  for (const state of ["waiting", "running", "cancelled", "running"]) store.putJob({ ...job, state });
  assert.deepEqual(store.data.jobs, [{ ...job, state: "cancelled" }]);
});

test("a server that starts is no error", () => {
  const { store } = made();
  store.fail(new ApiError(503, "still starting"));
  assert.equal(store.data.error, "");
});

test("the log speaks as the page does", () => {
  const { did } = strings.status;
  assert.equal(
    did("undone: 27 clusters are now 2; every name stays where it was; 1 cluster holds several " +
      "names, which stay on nodes below: 0 (tree, no name); to merge one, name it: --set 0=NAME"),
    "undone: 27 clusters are now 2; every name stays where it was",
  );
  assert.equal(did("done again: segment of road in a"), "done again: region of road in a");
  assert.equal(strings.top.undo("audit answer in a"), "Undo: answer of the check in a");
  assert.equal(did("undone: stroke of segment of x in a"), "undone: stroke of segment of x in a");
});

test("lines of the history that cannot be read are told once", () => {
  const { store } = made();
  store.putState({ ...initial, end: 2, problems: ["line 3: not an event", "line 4: neither"] });
  assert.equal(store.data.error, "line 3: not an event; and 1 more problem");
  store.data.error = ""; // closed
  store.putState({ ...initial, end: 3, problems: ["line 3: not an event", "line 4: neither"] });
  assert.equal(store.data.error, "");
});

import assert from "node:assert/strict";
import { test } from "node:test";

import { listed, mergeAct } from "../../../src/picie/studio/page/clusters/merging.js";

const named = (/** @type {string} */ title, ignore = false) => ({
  key: `name ${title}`, title, node: 1, leaves: [1], colour: "#000000", ignore,
});
const cluster = (/** @type {number} */ node) => ({
  key: `node ${node}`, title: "", node, leaves: [node], colour: "#000000", ignore: false,
});

test("a class onto a class takes its name", () => {
  assert.deepEqual(mergeAct(named("kerb"), named("road")), { act: "rename", title: "kerb", to: "road" });
});

test("a cluster and a class become that class, whichever is dragged", () => {
  const act = { act: "name", node: 7, title: "road" };
  assert.deepEqual(mergeAct(cluster(7), named("road")), act);
  assert.deepEqual(mergeAct(named("road"), cluster(7)), act);
});

test("two clusters need a name, and nothing merges with itself", () => {
  assert.equal(mergeAct(cluster(7), cluster(8)), "needsName");
  assert.equal(mergeAct(cluster(7), cluster(7)), null);
});

test("classes by share, then clusters, then what is ignored", () => {
  const groups = [cluster(3), named("ignore", true), named("road"), cluster(4), named("sky")];
  const shares = [0.1, 0.9, 0.2, 0.3, 0.4];
  assert.deepEqual(listed(groups, (place) => shares[place]), [4, 2, 3, 0, 1]);
});

test("shares that are not known yet do not confuse the order", () => {
  assert.deepEqual(listed([named("a"), named("b")], () => NaN), [0, 1]);
});

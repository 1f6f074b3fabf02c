import assert from "node:assert/strict";
import { test } from "node:test";

import { following, order, progress, titleOf } from "../../../src/picie/studio/page/clusters/asking.js";

// Leaves 0..3; nodes 4 = (0, 1), 5 = (2, 3), 6 = all.
const MEMBERS = [[0], [1], [2], [3], [0, 1], [2, 3], [0, 1, 2, 3]];
const members = (/** @type {number} */ node) => MEMBERS[node];
const CHILDREN = new Map([
  [4, [0, 1]],
  [5, [2, 3]],
]);

const question = (/** @type {number} */ node, name = "") => ({
  node, name, members: MEMBERS[node], children: CHILDREN.get(node) ?? null, share: 0.5,
  child_shares: null, alike: [],
});
const named = (/** @type {string} */ name, /** @type {number} */ node) => ({
  name, colour: "#ff0000", ignore: false, nodes: [node], leaves: MEMBERS[node],
});
const plan = (first = [], skipped = []) => ({ first, skipped: new Set(skipped) });
const nodes = (/** @type {{node: number}[]} */ open) => open.map((one) => one.node);

test("a name answers its question at once", () => {
  const questions = [question(4), question(5)];
  assert.deepEqual(nodes(order(questions, [], plan(), members)), [4, 5]);
  assert.deepEqual(nodes(order(questions, [named("road", 4)], plan(), members)), [5]);
});

test("a node that is partly named is no longer asked for as a whole", () => {
  assert.deepEqual(nodes(order([question(4)], [named("road", 0)], plan(), members)), []);
});

test("skipped questions come last", () => {
  const questions = [question(4), question(5)];
  assert.deepEqual(nodes(order(questions, [], plan([], ["4 name"]), members)), [5, 4]);
});

test("to skip a name does not skip the question whether it is two things", () => {
  const open = order([question(4, "road"), question(5)], [named("road", 4)], plan([], ["4 name"]), members);
  assert.deepEqual(nodes(open), [4, 5]);
});

test("halves of a split come first, also those the server does not list", () => {
  const open = order([question(4), question(5)], [], plan([2, 3]), members);
  assert.deepEqual(nodes(open), [2, 3, 4, 5]);
  assert.deepEqual(open[0].members, [2]);
});

test("a split that is under way is not offered again", () => {
  const open = order([question(4, "road")], [named("road", 4)], plan([0, 1]), members);
  assert.deepEqual(nodes(open), [0, 1]);
});

test("a node whose halves have other names is not offered for a split", () => {
  const classes = [named("road", 0), named("kerb", 1)];
  assert.deepEqual(order([question(4, "road")], classes, plan(), members), []);
});

test("progress counts names and open questions", () => {
  const classes = [named("road", 4)];
  const open = order([question(5), question(4, "road")], classes, plan(), members);
  assert.deepEqual(progress(open, classes), { named: 1, left: 1, splits: 1 });
});

test("following: the next one, the first after the last, none after the only one", () => {
  const open = [question(4), question(5)];
  assert.equal(following(open, 4)?.node, 5);
  assert.equal(following(open, 5)?.node, 4);
  assert.equal(following(open, 99)?.node, 4);
  assert.equal(following([question(4)], 4), null);
  assert.equal(following([], 4), null);
});

test("titleOf: one title for all leaves, or none", () => {
  const titles = new Map([[0, "road"], [1, "road"], [2, "sky"]]);
  assert.deepEqual(titleOf([0, 1], titles), { title: "road", named: 2 });
  assert.deepEqual(titleOf([0, 2], titles), { title: "", named: 2 });
  assert.deepEqual(titleOf([0, 3], titles), { title: "", named: 1 });
  assert.deepEqual(titleOf([3], titles), { title: "", named: 0 });
  assert.deepEqual(titleOf([], titles), { title: "", named: 0 });
});

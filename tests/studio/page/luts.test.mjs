import assert from "node:assert/strict";
import test from "node:test";

import { groupsOf, labOf, leavesOf, movedLeaves, rgbOf, tableOf, translation } from "../../../src/picie/studio/page/core/luts.js";
import { Tree } from "../../../src/picie/studio/page/core/tree.js";

const rows = [[0, 1, 1], [2, 3, 2], [4, 5, 3]];
const tree = new Tree(4, rows);
const model = {
  centroids: 4, tree: rows, trained: 4, suggested: 2, alike: [], taught: null,
  node_colours: ["#000000", "#111111", "#222222", "#333333", "#444444", "#555555", "#666666"],
  palette: ["#ff0000", "#00ff00"],
};
const state = {
  end: 3, clusters: 2, extra: ["pole"], questions: [], accepted: [], touched: {}, problems: [],
  head: { version: 0, state: "none", marks: 0, notes: [] }, undo: null, redo: null, seconds: 0, acts: 0,
  classes: [{ name: "road", colour: "#804080", ignore: false, nodes: [1], leaves: [1] }],
};
const look = { only: null, glow: null, preview: null, node: null, opacity: 0.5, hidden: false };
const groups = groupsOf(state, model, tree);
const alphas = (table) => Array.from(table.colours).filter((_, at) => at % 4 === 3);

test("groups are classes, classes of marks, and what is left of clusters", () => {
  assert.deepEqual(groups.map((one) => [one.key, one.leaves, one.colour]), [
    ["name road", [1], "#804080"], ["name pole", [4], "#ff0000"],
    ["node 0", [0], "#000000"], ["node 5", [2, 3], "#555555"],
  ]);
});

test("every leaf has the key of its group", () => {
  const table = tableOf(groups, 5, tree, look);
  assert.deepEqual([...table.keys], [2, 0, 3, 3, 1]);
  assert.deepEqual(table.titles, ["road", "pole", "", ""]);
  assert.deepEqual([...table.colours.slice(0, 4)], [128, 64, 128, 128]);
  assert.deepEqual([...table.hot], [0, 0, 0, 0]);
});

test("a node that glows inside a group gets a key of its own, and the others step back", () => {
  const table = tableOf(groups, 5, tree, { ...look, glow: { node: 2 } });
  assert.notEqual(table.keys[2], table.keys[3]);
  assert.equal(table.names[table.keys[2]], table.names[table.keys[3]]);
  assert.equal(table.hot[table.keys[2]], 1);
  const all = alphas(table);
  assert.ok(all[table.keys[2]] > 128 && all[table.keys[0]] < 128);
});

test("only shows one class, hidden shows nothing, and ignored pixels are clear", () => {
  const only = tableOf(groups, 5, tree, { ...look, only: { name: "road" } });
  assert.deepEqual(alphas(only), [128, 0, 0, 0]);
  assert.deepEqual(alphas(tableOf(groups, 5, tree, { ...look, hidden: true })), [0, 0, 0, 0]);
  const void_ = groups.map((one) => ({ ...one, ignore: one.title === "road" }));
  assert.equal(alphas(tableOf(void_, 5, tree, look))[0], 0);
  assert.ok(alphas(tableOf(void_, 5, tree, { ...look, glow: { name: "road" } }))[0] > 0);
});

test("the cluster in question stands out", () => {
  const table = tableOf(groups, 5, tree, { ...look, node: 5 });
  const all = alphas(table);
  assert.equal(all[table.keys[2]], 128);
  assert.ok(all[table.keys[0]] < 128);
});

test("a preview shows two halves in two colours", () => {
  const table = tableOf(groups, 5, tree, { ...look, preview: { left: 2, right: 3 } });
  const colour = (leaf) => [...table.colours.slice(4 * table.keys[leaf], 4 * table.keys[leaf] + 3)];
  assert.deepEqual(colour(2), rgbOf("#e69f00"));
  assert.deepEqual(colour(3), rgbOf("#0072b2"));
});

test("scopes are classes or nodes", () => {
  assert.deepEqual(leavesOf({ name: "pole" }, groups, tree), [4]);
  assert.deepEqual(leavesOf({ node: 5 }, groups, tree), [2, 3]);
  assert.deepEqual(leavesOf({ name: "none" }, groups, tree), []);
  assert.deepEqual(leavesOf({ node: 99 }, groups, tree), []);
});

test("what moved is known by leaf and by key", () => {
  const after = groupsOf(
    { ...state, classes: [{ ...state.classes[0], nodes: [4], leaves: [0, 1] }] }, model, tree,
  );
  assert.deepEqual(movedLeaves(groups, after), [0]);
  const [from, to] = [tableOf(groups, 5, tree, look), tableOf(after, 5, tree, look)];
  assert.deepEqual([...translation(from, to)], [0, 1, 65535, 2]);
});

test("CIELAB has the values of the server's palette", () => {
  const near = (/** @type {string} */ colour, /** @type {number[]} */ wanted) =>
    labOf(colour).forEach((value, at) => assert.ok(Math.abs(value - wanted[at]) < 0.01, `${colour} ${value}`));
  near("#e69f00", [70.608, 16.475, 74.686]);
  near("#000000", [0, 0, 0]);
});

import assert from "node:assert/strict";
import { test } from "node:test";

import { Recent, settled, suggestions } from "../../../src/picie/studio/page/clusters/suggest.js";

const NAMES = ["road", "side road", "broad leaf", "sky", "Été"];

test("names that begin with it come first, then those with a word that does, then the rest", () => {
  assert.deepEqual(suggestions(NAMES, "ro"), ["road", "side road", "broad leaf"]);
  assert.deepEqual(suggestions(NAMES, "RO"), ["road", "side road", "broad leaf"]);
});

test("accents and case do not matter", () => {
  assert.deepEqual(suggestions(NAMES, "ete"), ["Été"]);
});

test("all names before anything is typed, no more than asked for", () => {
  assert.deepEqual(suggestions(NAMES, " ", 2), ["road", "side road"]);
});

test("settled: an existing name wins over another spelling of it", () => {
  assert.equal(settled(NAMES, " Road "), "road");
  assert.equal(settled(NAMES, "side   road"), "side road");
  assert.equal(settled(NAMES, "kerb"), "kerb");
  assert.equal(settled(["Road", "road"], "road"), "road");
});

test("a name keeps its key", () => {
  const recent = new Recent(["road", "sky"]);
  recent.use("tree");
  recent.use("road");
  assert.deepEqual(recent.slots, ["road", "sky", "tree"]);
});

test("the tenth name takes the key of the one used longest ago", () => {
  const names = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];
  const recent = new Recent();
  names.forEach((name) => recent.use(name));
  recent.use("1");
  recent.use("new");
  assert.deepEqual(recent.slots, ["1", "new", "3", "4", "5", "6", "7", "8", "9"]);
});

test("keep: names that are gone free their keys", () => {
  const recent = new Recent(["road", "sky"]);
  recent.keep(["sky", "tree"]);
  assert.deepEqual(recent.slots, ["sky", "tree"]);
});

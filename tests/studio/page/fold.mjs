// Reads a file of steps, each a state, an act and the state that the server answered; says where the
// page works out something else.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { applied } from "../../../src/picie/studio/page/core/acts.js";
import { Tree } from "../../../src/picie/studio/page/core/tree.js";

const { model, shares, steps } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const known = {
  model, tree: new Tree(model.centroids, model.tree), shares: Float64Array.from(shares),
};
const sorted = (numbers) => [...numbers].sort((a, b) => a - b);

/** What has to be equal; shares differ in the last digits. */
function compared({ clusters, classes, questions }) {
  return {
    clusters,
    classes: classes.map((one) => ({ ...one, nodes: sorted(one.nodes) })),
    questions: questions.map(({ node, name, members, children, alike }) => ({
      node, name, members, children, alike,
    })),
  };
}

for (const { before, act, after } of steps) {
  const mine = applied(before, act, known);
  assert.deepEqual(compared(mine), compared(after), JSON.stringify(act));
}
console.log(steps.length);

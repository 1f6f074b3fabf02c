/** The questions that are open, as `naming.questions` orders them on the server. Pure. */

/** @typedef {import("./acts.js").Known} Known */
/** @typedef {import("./types.js").Question} Question */
/** @typedef {import("./types.js").State} State */

const START = 24; // nodes that are named before any is split
const MOST = 100; // questions that the server sends
const MOST_ALIKE = 3;

/**
 * First the largest nodes without a name, then nodes that may hold two things, the last merge first.
 * @param {State} state
 * @param {Known} known
 * @returns {Question[]}
 */
export function questionsOf(state, { model, tree, shares }) {
  /** @type {Map<number, string>} */
  const titles = new Map();
  for (const one of state.classes) for (const node of one.nodes) titles.set(node, one.name);
  const named = new Set([...titles.keys()].flatMap((node) => tree.members[node]));
  const unnamed = tree
    .cut(Math.max(2, Math.min(START, tree.count)))
    .flatMap((group) => tree.cover(group.filter((leaf) => !named.has(leaf))));
  const size = (/** @type {number} */ node) =>
    shares === null ? tree.members[node].length : shareOf(tree.members[node], shares);
  unnamed.sort((a, b) => size(b) - size(a) || a - b);
  const height = (/** @type {number} */ node) => tree.heights[node - tree.count];
  const inner = [...titles.keys()]
    .filter((node) => node >= tree.count)
    .sort((a, b) => height(b) - height(a) || b - a);
  return [...unnamed, ...inner]
    .slice(0, MOST)
    .map((node) => question(node, titles, { model, tree, shares }));
}

/**
 * @param {number} node
 * @param {Map<number, string>} titles
 * @param {Known} known
 * @returns {Question}
 */
function question(node, titles, { model, tree, shares }) {
  const name = titles.get(node) ?? "";
  const members = [...tree.members[node]].sort((a, b) => a - b);
  const children = tree.children(node);
  /** @type {[number, number]|null} */
  const child_shares =
    children === null || shares === null
      ? null
      : [shareOf(tree.members[children[0]], shares), shareOf(tree.members[children[1]], shares)];
  /** @type {Map<string, number>} */
  const nearest = new Map();
  for (const [other, title] of titles) {
    if (title === name) continue;
    let most = nearest.get(title) ?? -Infinity;
    for (const one of members) {
      for (const leaf of tree.members[other]) most = Math.max(most, model.alike[one]?.[leaf] ?? -100);
    }
    nearest.set(title, most);
  }
  const alike = [...nearest].sort((a, b) => b[1] - a[1]).slice(0, MOST_ALIKE);
  const share = shares === null ? null : shareOf(members, shares);
  return { node, name, members, children, share, child_shares, alike: alike.map(([title]) => title) };
}

/**
 * @param {readonly number[]} leaves
 * @param {Float64Array} shares
 */
function shareOf(leaves, shares) {
  return leaves.reduce((sum, leaf) => sum + (shares[leaf] ?? 0), 0);
}

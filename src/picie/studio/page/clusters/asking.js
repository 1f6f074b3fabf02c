/**
 * What the card asks next: pure functions over the questions of the server and what the person did on
 * this page. Questions that a name has just answered go at once, before the server has said so.
 */

/**
 * @typedef {import("../core/types.js").Question} Question
 * @typedef {import("../core/types.js").NamedClass} NamedClass
 *
 * @typedef {Object} Plan  what this page knows beside the server's list
 * @property {number[]} first  nodes to ask before all others: the halves of a split
 * @property {Set<string>} skipped  keys of questions put off
 */

/**
 * A question as a key: naming a node does not settle whether it is one thing.
 * @param {{node: number, name: string}} question
 * @returns {string}
 */
export const keyOf = (question) => `${question.node} ${question.name ? "split" : "name"}`;

/**
 * The class of each leaf.
 * @param {NamedClass[]} classes
 * @returns {Map<number, string>}
 */
export function titlesOfLeaves(classes) {
  const titles = new Map();
  for (const one of classes) for (const leaf of one.leaves) titles.set(leaf, one.name);
  return titles;
}

/**
 * What a set of leaves is called.
 * @param {readonly number[]} members
 * @param {Map<number, string>} titles
 * @returns {{title: string, named: number}}  the one title of all leaves, or ""; and how many have one
 */
export function titleOf(members, titles) {
  let title = "";
  let named = 0;
  let same = members.length > 0;
  for (const leaf of members) {
    const found = titles.get(leaf);
    if (found === undefined) same = false;
    else {
      if (named > 0 && found !== title) same = false;
      title = found;
      named += 1;
    }
  }
  return { title: same ? title : "", named };
}

/**
 * The open questions in the order of asking: halves of a split, names, splits, then what was skipped.
 * @param {Question[]} questions
 * @param {NamedClass[]} classes
 * @param {Plan} plan
 * @param {(node: number) => number[]} membersOf
 * @returns {Question[]}
 */
export function order(questions, classes, plan, membersOf) {
  const titles = titlesOfLeaves(classes);
  const open = questions.filter((one) =>
    one.name ? stillWhole(one, titles, plan) : titleOf(one.members, titles).named === 0,
  );
  const known = new Map(open.map((one) => [one.node, one]));
  const first = plan.first.map((node) => known.get(node) ?? bare(node, membersOf(node)));
  const rest = open.filter((one) => !plan.first.includes(one.node));
  const later = rest.filter((one) => plan.skipped.has(keyOf(one)));
  return [...first, ...rest.filter((one) => !plan.skipped.has(keyOf(one))), ...later];
}

/**
 * How far the naming is. Splits are offered without end, so they count for themselves.
 * @param {Question[]} open  from `order`
 * @param {NamedClass[]} classes
 * @returns {{named: number, left: number, splits: number}}
 */
export function progress(open, classes) {
  const left = open.filter((one) => !one.name).length;
  const named = classes.reduce((sum, one) => sum + one.nodes.length, 0);
  return { named, left, splits: open.length - left };
}

/**
 * What comes after a question.
 * @param {Question[]} open
 * @param {number} node  the one on the card
 * @returns {Question|null}
 */
export function following(open, node) {
  const place = open.findIndex((one) => one.node === node);
  if (place < 0) return open[0] ?? null;
  return open[place + 1] ?? (place > 0 ? open[0] : null);
}

/**
 * Whether a node with a name may still hold two things.
 * @param {Question} question
 * @param {Map<number, string>} titles
 * @param {Plan} plan
 */
function stillWhole(question, titles, plan) {
  const halves = question.children;
  if (halves !== null && halves.every((half) => plan.first.includes(half))) return false;
  return titleOf(question.members, titles).title === question.name;
}

/**
 * A question about a node that the server does not list.
 * @param {number} node
 * @param {number[]} members
 * @returns {Question}
 */
function bare(node, members) {
  return { node, name: "", members, children: null, share: null, child_shares: null, alike: [] };
}

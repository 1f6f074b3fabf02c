/** Which act merges two rows of the list of classes. Pure. */

/**
 * @typedef {import("../core/types.js").Act} Act
 * @typedef {import("../core/types.js").Group} Group
 */

/**
 * The act that makes `from` the same thing as `onto`; `needsName` where neither has a name.
 * @param {Group} from
 * @param {Group} onto
 * @returns {Act|"needsName"|null}  null = nothing to do
 */
export function mergeAct(from, onto) {
  if (from.key === onto.key) return null;
  if (from.title && onto.title) return { act: "rename", title: from.title, to: onto.title };
  if (onto.title) return { act: "name", node: from.node, title: onto.title };
  if (from.title) return { act: "name", node: onto.node, title: from.title };
  return "needsName";
}

/**
 * Groups in the order of the list: classes, then clusters without a name, each by share; what is
 * ignored at the end.
 * @param {readonly Group[]} groups
 * @param {(place: number) => number} shareOf
 * @returns {number[]}  places in `groups`
 */
export function listed(groups, shareOf) {
  const rank = (/** @type {Group} */ one) => (one.ignore ? 2 : one.title ? 0 : 1);
  const share = groups.map((_, place) => shareOf(place) || 0);
  return groups
    .map((_, place) => place)
    .sort((a, b) => rank(groups[a]) - rank(groups[b]) || share[b] - share[a] || a - b);
}

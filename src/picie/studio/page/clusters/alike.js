/** Which classes and clusters look most like a cluster: pure, over the cosines of the model. */

/**
 * @typedef {Pick<import("../core/types.js").Group, "title"|"node"|"leaves">} Group
 *
 * @typedef {Object} Alike
 * @property {string} title
 * @property {number} node
 * @property {number} cosine  -1..1
 */

/**
 * The groups most like a set of leaves, most similar first. Two groups are as alike as their two
 * most similar leaves, which is how the tree was asked for its questions too.
 * @param {readonly (readonly number[])[]} cosines  (P, P), 100 times the cosine
 * @param {readonly number[]} members
 * @param {readonly Group[]} groups
 * @param {number} [most]
 * @returns {Alike[]}
 */
export function mostAlike(cosines, members, groups, most = 4) {
  const inside = new Set(members);
  const found = [];
  for (const { title, node, leaves } of groups) {
    let cosine = -Infinity;
    let own = false;
    for (const leaf of leaves) {
      if (inside.has(leaf)) own = true;
      const row = cosines[leaf];
      if (row === undefined) continue; // a class that only strokes have
      for (const member of members) cosine = Math.max(cosine, (row[member] ?? -100) / 100);
    }
    if (!own && cosine > -Infinity) found.push({ title, node, cosine });
  }
  return found.sort((a, b) => b.cosine - a.cosine || a.node - b.node).slice(0, most);
}

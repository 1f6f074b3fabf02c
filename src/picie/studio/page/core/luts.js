/** From names to colours: which group a leaf belongs to, and how it is painted. Pure. */

/** @typedef {import("./types.js").Group} Group */
/** @typedef {import("./types.js").Model} Model */
/** @typedef {import("./types.js").Scope} Scope */
/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").Table} Table */
/** @typedef {import("./types.js").View} View */
/** @typedef {import("./tree.js").Tree} Tree */

/** The halves of a split that is previewed: left, right. */
export const PREVIEW_COLOURS = ["#e69f00", "#0072b2"];

const DIMMED = 0.3; // opacity of what is beside something that glows, relative to its own
const ASIDE = 0.45; // and of what is beside the cluster in question
const BRIGHT = 0.85; // least opacity of what glows

/** @typedef {Pick<View, "only"|"glow"|"preview"|"node"|"opacity"|"hidden">} Look */

/**
 * Classes in the order of their ids, then clusters of the cut without a name. What is left of a
 * cluster that lost a part is the largest nodes that cover it, as in the questions.
 * @param {State} state
 * @param {Model} model
 * @param {Tree} tree
 * @returns {Group[]}
 */
export function groupsOf(state, model, tree) {
  /** @type {Group[]} */
  const groups = state.classes.map(({ name, colour, ignore, nodes, leaves }) => ({
    key: `name ${name}`, title: name, node: nodes[0] ?? -1, leaves, colour, ignore,
  }));
  const named = new Set(groups.flatMap(({ leaves }) => leaves));
  state.extra.forEach((title, row) => {
    const leaf = model.centroids + row;
    if (named.has(leaf)) return;
    named.add(leaf);
    const own = groups.find((one) => one.title === title);
    if (own) own.leaves = [...own.leaves, leaf];
    else groups.push(extraGroup(title, leaf, model.palette[row % model.palette.length]));
  });
  for (const cluster of tree.cut(state.clusters)) {
    for (const node of tree.cover(cluster.filter((leaf) => !named.has(leaf)))) {
      const colour = model.node_colours[node] ?? "#808080";
      const leaves = [...tree.members[node]].sort((a, b) => a - b);
      groups.push({ key: `node ${node}`, title: "", node, leaves, colour, ignore: false });
    }
  }
  return groups;
}

/**
 * The leaves of a class or node.
 * @param {Scope} scope
 * @param {readonly Group[]} groups
 * @param {Tree} tree
 * @returns {readonly number[]}
 */
export function leavesOf(scope, groups, tree) {
  if ("node" in scope) return tree.members[scope.node] ?? [];
  return groups.find((one) => one.title === scope.name)?.leaves ?? [];
}

/**
 * How leaves are painted. Leaves of one group that something tells apart, such as a node that glows
 * inside a class, get keys of their own.
 * @param {readonly Group[]} groups
 * @param {number} rows  R
 * @param {Tree} tree
 * @param {Look} look
 * @returns {Table}
 */
export function tableOf(groups, rows, tree, look) {
  const within = (/** @type {Scope|null} */ scope) =>
    scope === null ? null : new Set(leavesOf(scope, groups, tree));
  const only = within(look.only);
  const hot = within(look.glow);
  const asked = within(look.node === null ? null : { node: look.node });
  const halves = look.preview === null
    ? null
    : [look.preview.left, look.preview.right].map((node) => new Set(tree.members[node] ?? []));
  const keys = new Uint16Array(rows);
  /** @type {Map<string, number>} */
  const known = new Map();
  /** @type {number[]} */
  const colours = [];
  /** @type {string[]} */
  const titles = [];
  /** @type {string[]} */
  const names = [];
  /** @type {number[]} */
  const glowing = [];
  groups.forEach((group, place) => {
    for (const leaf of group.leaves) {
      if (leaf >= rows) continue;
      const half = halves === null ? -1 : halves.findIndex((set) => set.has(leaf));
      const kind = {
        shown: only === null || only.has(leaf),
        hot: hot !== null && hot.has(leaf),
        asked: asked !== null && asked.has(leaf),
        half,
      };
      const identity = `${place} ${Object.values(kind).join(" ")}`;
      let key = known.get(identity);
      if (key === undefined) {
        key = titles.length;
        known.set(identity, key);
        const colour = half < 0 ? group.colour : PREVIEW_COLOURS[half];
        const any = { hot: hot !== null, asked: asked !== null, halves: halves !== null };
        colours.push(...rgbOf(colour), Math.round(255 * alphaOf(group, kind, any, look)));
        titles.push(group.title);
        names.push(group.key);
        glowing.push(kind.hot ? 1 : 0);
      }
      keys[leaf] = key;
    }
  });
  return {
    keys, colours: new Uint8ClampedArray(colours), titles, names, hot: new Uint8Array(glowing),
  };
}

/**
 * @param {Group} group
 * @param {{shown: boolean, hot: boolean, asked: boolean, half: number}} kind
 * @param {{hot: boolean, asked: boolean, halves: boolean}} any  whether there is anything such
 * @param {Look} look
 * @returns {number}  0..1
 */
function alphaOf(group, kind, any, look) {
  if (look.hidden) return 0;
  if (any.halves) return kind.half >= 0 ? Math.max(look.opacity, BRIGHT) : look.opacity * DIMMED;
  if (kind.hot) return Math.max(look.opacity, BRIGHT);
  if (!kind.shown || group.ignore) return 0;
  if (any.hot) return look.opacity * DIMMED;
  return look.opacity * (any.asked && !kind.asked ? ASIDE : 1);
}

/**
 * The key in one table of each key in another, to see what changed; 65535 where there is none.
 * @param {Table} from
 * @param {Table} to
 * @returns {Uint16Array}
 */
export function translation(from, to) {
  const places = new Map(to.names.map((name, key) => [name, key]));
  return Uint16Array.from(from.names, (name) => places.get(name) ?? 65535);
}

/**
 * The leaves whose group is another one than before.
 * @param {readonly Group[]} before
 * @param {readonly Group[]} after
 * @returns {number[]}
 */
export function movedLeaves(before, after) {
  const old = new Map(before.flatMap(({ key, leaves }) => leaves.map((leaf) => [leaf, key])));
  return after
    .flatMap(({ key, leaves }) => leaves.filter((leaf) => old.get(leaf) !== key))
    .sort((a, b) => a - b);
}

/**
 * @param {string} title
 * @param {number} leaf
 * @param {string|undefined} colour
 * @returns {Group}
 */
function extraGroup(title, leaf, colour = "#808080") {
  const ignore = title === "ignore";
  return { key: `name ${title}`, title, node: -1, leaves: [leaf], colour, ignore };
}

const XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]];

/**
 * CIELAB under D65, as `visualization.palette` has it.
 * @param {string} colour  "#rrggbb"
 * @returns {[number, number, number]}
 */
export function labOf(colour) {
  const linear = rgbOf(colour).map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  const [x, y, z] = XYZ.map((row) => {
    const white = row[0] + row[1] + row[2];
    const ratio = row.reduce((sum, part, at) => sum + part * linear[at], 0) / white;
    return ratio > 216 / 24389 ? Math.cbrt(ratio) : ((24389 / 27) * ratio + 16) / 116;
  });
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

/**
 * @param {string} colour  "#rrggbb"
 * @returns {[number, number, number]}
 */
export function rgbOf(colour) {
  const code = Number.parseInt(colour.slice(1), 16);
  return Number.isNaN(code) ? [128, 128, 128] : [code >> 16, (code >> 8) & 255, code & 255];
}

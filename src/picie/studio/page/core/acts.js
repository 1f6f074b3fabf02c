/**
 * What naming acts do to the state, as `naming.assign` does it on the server, so that the page can
 * repaint before the server has answered. Pure.
 */

import { labOf } from "./luts.js";
import { questionsOf } from "./questions.js";

/** @typedef {import("./types.js").Act} Act */
/** @typedef {import("./types.js").Model} Model */
/** @typedef {import("./types.js").NamedClass} NamedClass */
/** @typedef {import("./types.js").State} State */
/** @typedef {import("./tree.js").Tree} Tree */

/**
 * @typedef {Object} Known  what acts are worked out from
 * @property {Model} model
 * @property {Tree} tree
 * @property {Float64Array|null} shares  (P,) of the pixels of each leaf, 0..1
 */

/** Acts that `applied` works out; the others wait for the server. */
export const NAMING = new Set(["name", "unname", "rename", "colour", "clear", "cut"]);

const VOID = "#808080"; // of pixels that are ignored
const ALIKE = 25; // distance in CIELAB below which two colours are taken for one, as shades of one are

/**
 * The state after an act. Acts that only the server can work out leave it as it is.
 * @param {State} state
 * @param {Act} act
 * @param {Known} known
 * @returns {State}
 */
export function applied(state, act, known) {
  if (act.act === "accept") return accepted(state, act.photo);
  const changed = withAct(state, act, known);
  if (changed === state) return state;
  const classes = changed.classes.map((one) => ({ ...one, leaves: leavesOf(one, state, known.tree) }));
  const after = { ...changed, classes };
  return { ...after, questions: questionsOf(after, known), undo: after.undo ?? "", redo: null };
}

/**
 * @param {State} state
 * @param {Act} act
 * @param {Known} known
 * @returns {State}
 */
function withAct(state, act, { model, tree }) {
  const { classes } = state;
  switch (act.act) {
    case "name": {
      const nodes = act.nodes ?? (act.node === undefined ? [] : [act.node]);
      return { ...state, classes: named(classes, nodes, act.title, tree, model) };
    }
    case "unname":
      return { ...state, classes: freed(classes, [act.node], tree) };
    case "rename":
      return { ...state, classes: renamed(classes, act.title, act.to) };
    case "colour":
      return {
        ...state,
        classes: classes.map((one) => (one.name === act.title ? { ...one, colour: act.colour } : one)),
      };
    case "clear":
      return { ...state, classes: classes.filter((one) => one.name !== act.title) };
    case "cut":
      return { ...state, clusters: act.clusters };
    default:
      return state;
  }
}

/**
 * @param {NamedClass[]} classes
 * @param {number[]} nodes
 * @param {string} title
 * @param {Tree} tree
 * @param {Model} model
 * @returns {NamedClass[]}
 */
function named(classes, nodes, title, tree, model) {
  const before = classes.find((one) => one.name === title);
  const held = (before?.nodes ?? []).map((node) => new Set(tree.members[node]));
  const every = new Set(held.flatMap((set) => [...set]));
  const fresh = nodes.filter((node) => !tree.members[node].every((leaf) => every.has(leaf)));
  const known = nodes.filter((node) => !fresh.includes(node));
  const given = [...confirmed(known, held, tree), ...fresh];
  const rest = freed(classes, given, tree);
  const place = rest.findIndex((one) => one.name === title);
  if (place >= 0) {
    const whole = { ...rest[place], nodes: [...rest[place].nodes, ...given] };
    return [...rest.slice(0, place), whole, ...rest.slice(place + 1)];
  }
  const ignore = title === "ignore";
  const own = model.node_colours[given[0]] ?? VOID;
  const taken = classes.map((one) => one.colour);
  const colour = ignore ? VOID : unlike([own, ...model.palette], taken);
  return [...rest, { name: title, colour, ignore, nodes: given, leaves: [] }];
}

/**
 * The first colour that nobody would take for one of the others; else the most different. As
 * `studio.colours` chooses it.
 * @param {readonly string[]} wanted  the best first
 * @param {readonly string[]} taken
 * @returns {string}
 */
export function unlike(wanted, taken) {
  const others = taken.map(labOf);
  let best = wanted[0];
  let most = -1;
  for (const colour of wanted) {
    const one = labOf(colour);
    const distances = others.map((other) => Math.hypot(...other.map((value, at) => value - one[at])));
    const nearest = Math.min(Infinity, ...distances);
    if (nearest >= ALIKE) return colour;
    if (nearest > most) [best, most] = [colour, nearest];
  }
  return best;
}

/**
 * Nodes that together are a larger node of their own class: they replace it, so it is on record that
 * a person saw them apart.
 * @param {number[]} nodes
 * @param {Set<number>[]} held
 * @param {Tree} tree
 * @returns {number[]}
 */
function confirmed(nodes, held, tree) {
  const inside = (/** @type {number} */ node, /** @type {Set<number>} */ whole) =>
    tree.members[node].length < whole.size && tree.members[node].every((leaf) => whole.has(leaf));
  const wholes = held.filter((whole) => {
    const parts = nodes.filter((node) => inside(node, whole));
    return new Set(parts.flatMap((node) => tree.members[node])).size === whole.size;
  });
  return nodes.filter((node) => wholes.some((whole) => inside(node, whole)));
}

/**
 * Take the leaves of some nodes from all classes; what is left of a node is written as the largest
 * nodes that cover it.
 * @param {NamedClass[]} classes
 * @param {number[]} nodes
 * @param {Tree} tree
 * @returns {NamedClass[]}
 */
function freed(classes, nodes, tree) {
  const taken = new Set(nodes.flatMap((node) => tree.members[node]));
  return classes.map((one) => {
    /** @type {number[]} */
    const untouched = [];
    /** @type {number[]} */
    const rest = [];
    for (const node of one.nodes) {
      const left = tree.members[node].filter((leaf) => !taken.has(leaf));
      if (left.length === tree.members[node].length) untouched.push(node);
      else rest.push(...tree.cover(left));
    }
    return { ...one, nodes: [...untouched, ...rest] };
  });
}

/**
 * Another name for a class; the name of another class merges the two, at the place of that one.
 * @param {NamedClass[]} classes
 * @param {string} title
 * @param {string} to
 * @returns {NamedClass[]}
 */
function renamed(classes, title, to) {
  const old = classes.find((one) => one.name === title);
  const kept = classes.find((one) => one.name === to);
  if (old === undefined || title === to) return classes;
  if (kept === undefined) return classes.map((one) => (one === old ? { ...one, name: to } : one));
  const whole = { ...kept, nodes: [...kept.nodes, ...old.nodes] };
  return classes.filter((one) => one !== old).map((one) => (one === kept ? whole : one));
}

/**
 * @param {State} state
 * @param {number} photo
 * @returns {State}
 */
function accepted(state, photo) {
  if (state.accepted.includes(photo)) return state;
  const all = [...state.accepted, photo].sort((a, b) => a - b);
  return { ...state, accepted: all, undo: state.undo ?? "", redo: null };
}

/**
 * Leaves of a class: those below its nodes, and rows that only marks have.
 * @param {NamedClass} one
 * @param {State} state
 * @param {Tree} tree
 * @returns {number[]}
 */
function leavesOf(one, state, tree) {
  const below = one.nodes.flatMap((node) => tree.members[node]).sort((a, b) => a - b);
  const extra = state.extra.flatMap((name, row) => (name === one.name ? [tree.count + row] : []));
  return [...below, ...extra];
}

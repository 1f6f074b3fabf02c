/** The whole tree of clusters, folded away: another K, and any node of the tree on the card. */

import { el, fill, say } from "../core/dom.js";
import { titleOf, titlesOfLeaves } from "./asking.js";
import { percent } from "../results/numbers.js";
import { strings } from "../core/strings.js";

/**
 * @typedef {import("../core/store.js").Store} Store
 * @typedef {import("../core/tree.js").Tree} Tree
 */

const text = strings.allClusters;
const PARTS = ["state", "model", "counts", "view.node"];

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @returns {() => void}
 */
export function mount(root, store) {
  const view = new TreeView(store);
  fill(root, view.root);
  view.render();
  const off = store.on((what) => {
    if (PARTS.some((part) => what.has(part))) view.render();
  });
  return () => {
    off();
    fill(root);
  };
}

class TreeView {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    /** Nodes that show their children. @type {Set<number>} */
    this.open = new Set();
    this.cut = -1;
    /** Where the one tab stop is. */
    this.place = -1;
    this.k = el("output", { class: "number" });
    /** @type {HTMLInputElement} */
    this.slider = el("input", {
      type: "range", min: 2, id: "all-clusters-k",
      on: {
        input: () => say(this.k, this.slider.value),
        change: () => void this.store.act({ act: "cut", clusters: Number(this.slider.value) }),
      },
    });
    this.list = el("ul", {
      role: "tree", class: "cluster-tree", "aria-label": text.tree,
      on: { keydown: (event) => this._key(/** @type {KeyboardEvent} */ (event)) },
    });
    this.root = el(
      "details",
      { class: "all-clusters", on: { toggle: () => this.render() } },
      el("summary", {}, text.title),
      el(
        "p",
        { class: "k-control" },
        el("label", { for: "all-clusters-k" }, text.clusters), this.slider, this.k,
      ),
      el("p", { class: "quiet" }, text.hint),
      this.list,
    );
  }

  render() {
    const { state, model } = this.store.data;
    const { tree } = this.store;
    this.root.hidden = state === null || model === null || tree === null || tree.root < 0;
    if (this.root.hidden || !this.root.open) return;
    if (state === null || model === null || tree === null) return;
    if (this.cut !== state.clusters) this._follow(tree, state.clusters);
    this.slider.max = String(model.centroids);
    if (document.activeElement !== this.slider) this.slider.value = String(state.clusters);
    say(this.k, this.slider.value);
    const focused = this.list.contains(document.activeElement);
    const rows = this._visible(tree);
    if (!rows.some((row) => row.node === this.place)) this.place = rows[0]?.node ?? -1;
    const titles = titlesOfLeaves(state.classes);
    const totals = this.store.counts.totals();
    fill(
      this.list,
      rows.map(({ node, level }) => {
        const { title } = titleOf(tree.members[node], titles);
        const named = state.classes.find((one) => one.name === title);
        const colour = named?.colour ?? model.node_colours[node] ?? "";
        const share = totals && tree.members[node].reduce((sum, leaf) => sum + totals[leaf], 0);
        return this._row(tree, node, level, title, colour, share);
      }),
    );
    if (focused) this._focus(this.place);
  }

  /**
   * @param {Tree} tree
   * @param {number} node
   * @param {number} level
   * @param {string} title
   * @param {string} colour
   * @param {number|null} share
   */
  _row(tree, node, level, title, colour, share) {
    const inner = tree.children(node) !== null;
    const glow = (/** @type {boolean} */ on) => () => this.store.look({ glow: on ? { node } : null });
    return el(
      "li",
      {
        role: "treeitem", class: "tree-row", "data-node": node, "aria-level": level + 1,
        "aria-expanded": inner ? String(this.open.has(node)) : null,
        "aria-selected": String(this.store.view.node === node),
        tabindex: node === this.place ? 0 : -1, style: { "--level": level },
        on: {
          click: (event) => this._clicked(event, node),
          mouseenter: glow(true), mouseleave: glow(false), focus: glow(true), blur: glow(false),
        },
      },
      el("span", { class: "twig", "aria-hidden": "true" }, inner ? (this.open.has(node) ? "▾" : "▸") : ""),
      el("i", { class: "swatch", style: { background: colour } }),
      el("span", { class: "tree-name" }, title || strings.cards.cluster(node)),
      el("span", { class: "number quiet" }, share === null ? "" : percent(share)),
    );
  }

  /**
   * Show the clusters at K: what lies above them is open.
   * @param {Tree} tree
   * @param {number} clusters
   */
  _follow(tree, clusters) {
    this.cut = clusters;
    const closed = new Set(tree.cut(clusters).flatMap((group) => tree.cover(group)));
    this.open.clear();
    const waiting = [tree.root];
    while (waiting.length) {
      const node = /** @type {number} */ (waiting.pop());
      const children = tree.children(node);
      if (closed.has(node) || children === null) continue;
      this.open.add(node);
      waiting.push(...children);
    }
  }

  /**
   * @param {Tree} tree
   * @returns {{node: number, level: number}[]}
   */
  _visible(tree) {
    /** @type {{node: number, level: number}[]} */
    const rows = [];
    const waiting = [{ node: tree.root, level: 0 }];
    while (waiting.length) {
      const row = /** @type {{node: number, level: number}} */ (waiting.pop());
      rows.push(row);
      const children = this.open.has(row.node) ? tree.children(row.node) : null;
      if (children === null) continue;
      waiting.push(...[children[1], children[0]].map((node) => ({ node, level: row.level + 1 })));
    }
    return rows;
  }

  /**
   * @param {Event} event
   * @param {number} node
   */
  _clicked(event, node) {
    this.place = node;
    const twig = event.target instanceof Element && event.target.matches(".twig");
    if (twig) this._toggle(node);
    else this.store.look({ node, preview: null });
  }

  /**
   * @param {number} node
   * @param {boolean} [open]
   */
  _toggle(node, open = !this.open.has(node)) {
    if (open) this.open.add(node);
    else this.open.delete(node);
    this.render();
    this._focus(this.place);
  }

  /** @param {KeyboardEvent} event */
  _key(event) {
    const { tree } = this.store;
    if (tree === null || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const rows = this._visible(tree).map((row) => row.node);
    const place = rows.indexOf(this.place);
    const node = this.place;
    const children = tree.children(node);
    if (event.key === "ArrowDown") this._focus(rows[place + 1] ?? node);
    else if (event.key === "ArrowUp") this._focus(rows[place - 1] ?? node);
    else if (event.key === "Home") this._focus(rows[0]);
    else if (event.key === "End") this._focus(rows[rows.length - 1]);
    else if (event.key === "ArrowRight" && children !== null) {
      if (this.open.has(node)) this._focus(children[0]);
      else this._toggle(node, true);
    } else if (event.key === "ArrowLeft") {
      if (this.open.has(node)) this._toggle(node, false);
      else if (tree.parents[node] >= 0) this._focus(tree.parents[node]);
    } else if (event.key === "Enter" || event.key === " ") this.store.look({ node, preview: null });
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {number} node */
  _focus(node) {
    this.list.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
    this.place = node;
    const row = this.list.querySelector(`[data-node="${node}"]`);
    if (!(row instanceof HTMLElement)) return;
    row.setAttribute("tabindex", "0");
    row.focus();
  }
}

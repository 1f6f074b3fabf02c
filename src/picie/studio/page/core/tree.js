/** The tree of the centroids: cuts, members and covers of its nodes. Pure. */

export class Tree {
  /**
   * @param {number} count  of centroids P
   * @param {readonly (readonly number[])[]} rows  left, right, height of the nodes P, P + 1, ...
   */
  constructor(count, rows) {
    this.count = count;
    /** Leaves below each node, in the order of the tree. @type {number[][]} */
    this.members = Array.from({ length: count }, (_, leaf) => [leaf]);
    /** @type {Int32Array} */
    this.parents = new Int32Array(count + rows.length).fill(-1);
    /** @type {([number, number]|null)[]} */
    this._children = new Array(count).fill(null);
    /** @type {number[]} */
    this.heights = [];
    rows.forEach(([left, right, height], row) => {
      this.members.push([...this.members[left], ...this.members[right]]);
      this.parents[left] = this.parents[right] = count + row;
      this._children.push([left, right]);
      this.heights.push(height);
    });
    this.size = this.members.length;
    this.root = rows.length === count - 1 ? this.size - 1 : -1;
  }

  /**
   * @param {number} node
   * @returns {[number, number]|null}
   */
  children(node) {
    return this._children[node] ?? null;
  }

  /**
   * The groups of leaves at K: merging stops when K groups, or fewer if heights are equal, are left.
   * Like `clustering.tree.cut_tree`: groups are in the order of their first leaves.
   * @param {number} clusters  K
   * @returns {number[][]}
   */
  cut(clusters) {
    const merged = this.count - clusters;
    const sorted = [...this.heights].sort((a, b) => a - b);
    const limit = merged > 0 ? (sorted[merged - 1] ?? Infinity) : -Infinity;
    const whole = new Uint8Array(this.size).fill(1, 0, this.count);
    for (let node = this.count; node < this.size; node += 1) {
      const [left, right] = /** @type {[number, number]} */ (this._children[node]);
      const fits = this.heights[node - this.count] <= limit;
      whole[node] = fits && whole[left] && whole[right] ? 1 : 0;
    }
    const groups = [];
    for (let node = 0; node < this.size; node += 1) {
      const parent = this.parents[node];
      if (whole[node] && !(parent >= 0 && whole[parent])) {
        groups.push([...this.members[node]].sort((a, b) => a - b));
      }
    }
    return groups.sort((a, b) => a[0] - b[0]);
  }

  /**
   * The largest nodes that together have exactly these leaves, by first leaf.
   * @param {Iterable<number>} leaves  others than centroids are left out
   * @returns {number[]}
   */
  cover(leaves) {
    const wanted = new Set(leaves);
    /** @type {number[]} */
    const found = [];
    const waiting = this.root >= 0 ? [this.root] : this.members.slice(0, this.count).map(([one]) => one);
    while (waiting.length) {
      const node = /** @type {number} */ (waiting.pop());
      const inside = this.members[node].filter((leaf) => wanted.has(leaf)).length;
      if (inside === this.members[node].length) found.push(node);
      else if (inside) waiting.push(.../** @type {[number, number]} */ (this._children[node]));
    }
    const first = (/** @type {number} */ node) => Math.min(...this.members[node]);
    return found.sort((a, b) => first(a) - first(b));
  }
}

/** The list of all classes, and of clusters without a name: colour, share, rename, only, merge. */

import { button, el, fill, say } from "../core/dom.js";
import { listed, mergeAct } from "./merging.js";
import { NameField } from "./namefield.js";
import { percent, whole } from "../results/numbers.js";
import { sharesOf } from "../core/shares.js";
import { strings } from "../core/strings.js";

/**
 * @typedef {import("../core/store.js").Store} Store
 * @typedef {import("../core/types.js").Group} Group
 * @typedef {import("../core/types.js").Scope} Scope
 * @typedef {ReturnType<typeof sharesOf>} Shares
 */

const text = strings.classes;
const PARTS = ["state", "model", "counts", "view.only", "view.node"];

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @returns {() => void}
 */
export function mount(root, store) {
  const list = new ClassList(store);
  fill(root, list.root);
  list.render();
  const off = store.on((what) => {
    if (PARTS.some((part) => what.has(part))) list.render();
  });
  return () => {
    off();
    fill(root);
  };
}

class ClassList {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    /** @type {Map<string, Row>} */
    this.rows = new Map();
    /** The row that is being merged into another. @type {Group|null} */
    this.moving = null;
    this.note = el("p", { class: "quiet", "aria-live": "polite" }, text.hint);
    this.list = el("ul", { class: "class-list" });
    this.both = el("div", { class: "name-both", hidden: true });
    this.root = el(
      "section",
      {
        class: "classes", "aria-labelledby": "classes-title",
        on: { keydown: (event) => this._key(/** @type {KeyboardEvent} */ (event)) },
      },
      el("h3", { id: "classes-title" }, text.title), this.note, this.both, this.list,
    );
  }

  render() {
    const { state, model } = this.store.data;
    this.root.hidden = state === null || model === null;
    if (state === null || model === null) return;
    const groups = this.store.groups();
    const counts = this.store.counts.rows();
    const shares =
      counts === null ? null : sharesOf(counts, this.store.counts.width, groups.map((one) => one.leaves));
    const places = listed(groups, (place) => shares?.mean[place] ?? groups[place].leaves.length);
    const keys = places.map((place) => groups[place].key);
    for (const [key, row] of this.rows) {
      if (keys.includes(key)) continue;
      row.root.remove();
      this.rows.delete(key);
    }
    places.forEach((place, position) => {
      const group = groups[place];
      const row = this.rows.get(group.key) ?? this._made(group);
      row.show(group, shares, place, this.moving);
      if (this.list.children[position] !== row.root) {
        this.list.insertBefore(row.root, this.list.children[position] ?? null);
      }
    });
  }

  /** @param {Group} group */
  _made(group) {
    const row = new Row(this, group);
    this.rows.set(group.key, row);
    return row;
  }

  /**
   * Pick a row up, to merge it into the one that is chosen next.
   * @param {Group|null} group  null puts it back
   * @param {boolean} [told]  say what comes next; that moves the rows, so not while one is dragged
   */
  move(group, told = true) {
    const before = this.moving;
    this.moving = group;
    this.root.classList.toggle("moving", group !== null);
    say(this.note, group === null || !told ? text.hint : text.chooseTarget(labelOf(group)));
    this.render();
    if (group === null && before !== null) this.rows.get(before.key)?.name.focus();
  }

  /**
   * @param {Group} from
   * @param {Group} onto
   */
  merge(from, onto) {
    this.moving = null;
    this.root.classList.remove("moving");
    say(this.note, text.hint);
    const act = mergeAct(from, onto);
    if (act === "needsName") this._nameBoth(from, onto);
    else if (act !== null) this.store.act(act);
    this.render();
  }

  /**
   * Two clusters without a name become one by getting one.
   * @param {Group} from
   * @param {Group} onto
   */
  _nameBoth(from, onto) {
    const field = new NameField({
      label: text.nameBoth(labelOf(from), labelOf(onto)),
      names: () => this.store.groups().map((one) => one.title).filter(Boolean),
      onName: (title) => {
        this.both.hidden = true;
        this.store.act({ act: "name", nodes: [from.node, onto.node], title });
      },
    });
    fill(this.both, field.root, button(text.cancel, () => this._cancelBoth()));
    this.both.hidden = false;
    field.focus();
  }

  _cancelBoth() {
    this.both.hidden = true;
    fill(this.both);
  }

  /** @param {KeyboardEvent} event */
  _key(event) {
    if (event.key !== "Escape") return;
    if (this.moving !== null) this.move(null);
    else if (!this.both.hidden) this._cancelBoth();
    else return;
    event.stopPropagation();
    event.preventDefault();
  }
}

class Row {
  /**
   * @param {ClassList} list
   * @param {Group} group
   */
  constructor(list, group) {
    this.list = list;
    this.group = group;
    this.store = list.store;
    const glow = (/** @type {boolean} */ on) => () =>
      this.store.look({ glow: on ? scopeOf(this.group) : null });
    this.colour = el("input", {
      type: "color", class: "swatch-input",
      on: { change: () => this._recolour() },
    });
    this.swatch = el("i", { class: "swatch" });
    this.label = el("span");
    this.name = el(
      "button", { type: "button", class: "class-name", on: { click: () => this._chosen() } }, this.label);
    this.share = el("span", { class: "number" });
    this.photos = el("span", { class: "number quiet" });
    this.only = button(text.only, () => this._toggleOnly(), { icon: "eye", class: "icon-button" });
    this.change = button(text.rename, () => this.rename(), { icon: "pencil", class: "icon-button" });
    this.merge = button(
      text.merge,
      () => this.list.move(this.list.moving === null ? this.group : null),
      { icon: "merge", class: "icon-button" },
    );
    this.bar = el("i", { class: "class-bar", "aria-hidden": "true" });
    /** @type {HTMLLIElement} */
    this.root = el(
      "li",
      {
        class: "class-row", draggable: "true",
        on: {
          mouseenter: glow(true), mouseleave: glow(false), focusin: glow(true), focusout: glow(false),
          dragstart: (event) => this._drag(/** @type {DragEvent} */ (event)),
          dragend: () => this.list.move(null),
          dragover: (event) => this._over(/** @type {DragEvent} */ (event)),
          dragleave: () => this.root.classList.remove("over"),
          drop: (event) => this._drop(/** @type {DragEvent} */ (event)),
          keydown: (event) => this._key(/** @type {KeyboardEvent} */ (event)),
        },
      },
      this.bar, group.title && !group.ignore ? this.colour : this.swatch, this.name,
      this.photos, this.share,
      el("div", { class: "row-tools" }, this.only, this.change, this.merge),
    );
  }

  /**
   * @param {Group} group
   * @param {Shares|null} shares
   * @param {number} place
   * @param {Group|null} moving
   */
  show(group, shares, place, moving) {
    this.group = group;
    const label = labelOf(group);
    const { only, node } = this.store.view;
    const scope = scopeOf(group);
    const shown = same(only, scope);
    if (this.colour.value !== group.colour) this.colour.value = group.colour;
    this.colour.setAttribute("aria-label", text.colourOf(label));
    this.colour.title = text.colourOf(label);
    this.swatch.style.background = group.ignore ? "" : group.colour;
    this.swatch.classList.toggle("ignored", group.ignore);
    say(this.label, label);
    this.name.title = moving === null ? text.open : text.mergeInto(labelOf(moving), label);
    this.root.classList.toggle("unnamed", !group.title);
    this.root.classList.toggle("picked", moving?.key === group.key);
    this.root.classList.toggle("current", node !== null && node === group.node && group.node >= 0);
    const share = shares?.mean[place] ?? NaN;
    say(this.share, shares === null || shares.photos === 0 ? "" : percent(share));
    say(this.photos, shares === null ? "" : text.photos(whole(shares.found[place]), shares.found[place]));
    this.bar.style.width = `${100 * (Number.isFinite(share) ? share : 0)}%`;
    this.bar.style.background = group.ignore ? "transparent" : group.colour;
    this.only.setAttribute("aria-pressed", String(shown));
    this.change.hidden = group.ignore;
    this.merge.setAttribute("aria-pressed", String(moving?.key === group.key));
  }

  _chosen() {
    const { moving } = this.list;
    if (moving !== null) this.list.merge(moving, this.group);
    else if (this.group.node >= 0) this.store.look({ node: this.group.node, preview: null });
    else this._toggleOnly();
  }

  _toggleOnly() {
    const scope = scopeOf(this.group);
    this.store.look({ only: same(this.store.view.only, scope) ? null : scope });
  }

  _recolour() {
    const { title } = this.group;
    if (title) this.store.act({ act: "colour", title, colour: this.colour.value });
  }

  /** A field in place of the name; an existing name merges. */
  rename() {
    const { group } = this;
    let over = false;
    const end = (/** @type {boolean} */ focus) => {
      if (over) return; // to take the field away is a blur, too
      over = true;
      field.root.replaceWith(this.name);
      if (focus) this.name.focus();
    };
    const field = new NameField({
      label: group.title ? text.renameTo(group.title) : text.nameOf(labelOf(group)),
      names: () => this.store.groups().map((one) => one.title).filter((one) => one && one !== group.title),
      onName: (title) => {
        end(true);
        if (!group.title) this.store.act({ act: "name", node: group.node, title });
        else if (title !== group.title) this.store.act({ act: "rename", title: group.title, to: title });
      },
      onEmpty: () => end(true),
    });
    field.root.classList.add("inline");
    field.set(group.title);
    field.input.addEventListener("blur", () => end(false));
    this.name.replaceWith(field.root);
    field.focus();
  }

  /** @param {KeyboardEvent} event */
  _key(event) {
    const rows = [...this.list.list.querySelectorAll(".class-name")];
    const place = rows.indexOf(this.name);
    if (event.target !== this.name || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const next = rows[place + (event.key === "ArrowDown" ? 1 : -1)];
      if (next instanceof HTMLElement) next.focus();
    } else if (event.key === "F2") this.rename();
    else if (event.key === "Delete" && this.group.title) {
      this.store.act({ act: "clear", title: this.group.title });
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {DragEvent} event */
  _drag(event) {
    if (event.dataTransfer === null) return;
    event.dataTransfer.setData("text/plain", labelOf(this.group));
    event.dataTransfer.effectAllowed = "move";
    // After the browser has taken its picture of the row, which must not look picked up yet.
    setTimeout(() => this.list.move(this.group, false));
  }

  /** @param {DragEvent} event */
  _over(event) {
    const { moving } = this.list;
    if (moving === null || moving.key === this.group.key) return;
    event.preventDefault();
    this.root.classList.add("over");
  }

  /** @param {DragEvent} event */
  _drop(event) {
    const { moving } = this.list;
    this.root.classList.remove("over");
    if (moving === null) return;
    event.preventDefault();
    this.list.merge(moving, this.group);
  }
}

/** @param {Group} group */
function labelOf(group) {
  if (group.ignore) return text.ignored;
  return group.title || strings.cards.cluster(group.node);
}

/**
 * @param {Group} group
 * @returns {Scope}
 */
function scopeOf(group) {
  return group.title ? { name: group.title } : { node: group.node };
}

/**
 * @param {Scope|null} a
 * @param {Scope} b
 */
function same(a, b) {
  if (a === null) return false;
  return "name" in a ? "name" in b && a.name === b.name : "node" in b && a.node === b.node;
}

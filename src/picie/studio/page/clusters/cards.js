/**
 * The right column of the tab Clusters: one question at a time, with what helps to answer it, then
 * all classes and all clusters.
 */

import * as allClusters from "./all_clusters.js";
import { mostAlike } from "./alike.js";
import { following, keyOf, order, progress, titleOf, titlesOfLeaves } from "./asking.js";
import { CardLayout } from "./card_layout.js";
import { CardSource } from "./card_view.js";
import * as classes from "./classes.js";
import { el, fill } from "../core/dom.js";
import { keys } from "../core/keys.js";
import { PREVIEW_COLOURS } from "../core/luts.js";
import { strings } from "../core/strings.js";
import { Recent } from "./suggest.js";

/**
 * @typedef {import("../core/store.js").Store} Store
 * @typedef {import("../core/types.js").Question} Question
 */

const TAB = "clusters";
const IGNORE = "ignore";
const text = strings.cards;
const PARTS = ["state", "model", "view.node", "view.preview", "view.tab", "status"];

/** What the page remembers while it is open, also while another tab of it is shown. */
const memory = {
  /** @type {import("./asking.js").Plan} */
  plan: { first: [], skipped: new Set() },
  /** Nodes that were on the card before. @type {number[]} */
  seen: [],
  recent: new Recent(),
};

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @returns {() => void}
 */
export function mount(root, store) {
  const cards = new Cards(store);
  const list = el("div", {});
  const all = el("div", {});
  fill(root, cards.layout.root, list, all);
  // Who clicks a button goes on with keys of the page; who came to it by keys stays there.
  const clicked = (/** @type {MouseEvent} */ event) => {
    if (event.detail > 0 && document.activeElement?.matches("button, body")) root.focus({ preventScroll: true });
  };
  root.addEventListener("click", clicked);
  const stop = [...cards.start(), classes.mount(list, store), allClusters.mount(all, store)];
  return () => {
    root.removeEventListener("click", clicked);
    stop.forEach((one) => one());
    fill(root);
  };
}

class Cards {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    /** The question that was asked before the shares of clusters were known. @type {number|null} */
    this.first = null;
    this.source = new CardSource((_, error) => store.fail(error));
    this.layout = new CardLayout(
      {
        name: (title) => this.name(title),
        ignore: () => this.name(IGNORE),
        unname: () => this.unname(),
        merge: () => this.merge(),
        skip: () => this.skip(),
        previous: () => this.previous(),
        twoThings: () => this.twoThings(),
        agree: () => this.agree(),
        whole: () => this.oneThing(),
        leave: () => this.leave(),
        go: (node) => this.go(node),
        open: (photo) => store.look({ tab: "photos", photo }),
        glow: (glow) => store.look({ glow }),
        tab: (tab) => store.look({ tab }),
        names: () => this.names,
        slots: () => memory.recent.slots,
        colourOfName: (name) => this._class(name)?.colour ?? "",
        colourOf: (node) => this._colour(node),
      },
      this.source,
    );
  }

  /** @returns {(() => void)[]} */
  start() {
    this.render();
    const changed = this.store.on((what) => {
      if (PARTS.some((part) => what.has(part))) this.render();
      else if (what.has("progress") || what.has("counts")) void this._card();
    });
    return [changed, ...this._keys()];
  }

  /** @returns {(() => void)[]} */
  _keys() {
    const bind = (
      /** @type {string} */ key,
      /** @type {string} */ label,
      /** @type {() => void|boolean} */ act,
    ) => keys.add(TAB, key, label, () => (this.question === null ? false : act()));
    return [
      bind("Enter", text.keyEnter, () =>
        this.halves === null ? this.layout.field.focus() : this.agree()),
      bind("Escape", text.keyEscape, () => (this.halves === null ? false : this.leave())),
      bind("x", text.keySplit, () => this.twoThings()),
      bind("o", text.keyWhole, () => (this.halves === null || !this.named ? false : this.oneThing())),
      bind("i", text.keyIgnore, () => this.name(IGNORE)),
      bind("m", text.keyMerge, () => this.merge()),
      bind("n", text.keySkip, () => this.skip()),
      keys.add(TAB, "p", text.keyPrevious, () => this.previous()),
      bind("Shift+ArrowUp", text.keyParent, () => this._climb()),
      bind("Shift+ArrowDown", text.keyChild, () => this._descend()),
      ...Array.from({ length: 9 }, (_, place) =>
        bind(String(place + 1), text.keyRecent, () => this._recent(place)),
      ),
    ];
  }

  // --- what is asked

  /** @returns {Question[]} */
  get open() {
    const { state } = this.store.data;
    const { tree } = this.store;
    if (state === null || tree === null) return [];
    return order(state.questions, state.classes, memory.plan, (node) => tree.members[node]);
  }

  /**
   * The question on the card: one of the open ones, or any node that was chosen.
   * @returns {Question|null}
   */
  get question() {
    const { node } = this.store.view;
    const { tree } = this.store;
    const members = node === null ? undefined : tree?.members[node];
    if (node === null || members === undefined || this.store.data.state === null) return null;
    const children = tree?.children(node) ?? null;
    const asked = this.open.find((one) => one.node === node);
    if (asked !== undefined) return { ...asked, children };
    return { node, name: "", members, children, share: null, child_shares: null, alike: [] };
  }

  /** The name that the node has now, or "". */
  get named() {
    const question = this.question;
    return question === null ? "" : this._titleOf(question.members);
  }

  /** The halves that are previewed, if they are those of the card. */
  get halves() {
    const { preview } = this.store.view;
    const children = this.question?.children ?? null;
    return preview !== null && children !== null && preview.left === children[0] ? children : null;
  }

  /** Names in use, those with a key first. */
  get names() {
    const names = (this.store.data.state?.classes ?? [])
      .filter((one) => !one.ignore)
      .map((one) => one.name);
    const recent = memory.recent.slots.filter((name) => names.includes(name));
    return [...recent, ...names.filter((name) => !recent.includes(name))];
  }

  /**
   * Show a node; the question whether it is two things comes with its halves.
   * @param {number|null} node
   * @param {boolean} [remember]
   */
  go(node, remember = true) {
    const before = this.store.view.node;
    if (remember && before !== null && before !== node) memory.seen.push(before);
    const asked = this.open.find((one) => one.node === node);
    const children = node === null ? null : (this.store.tree?.children(node) ?? null);
    const isSplit = asked !== undefined && asked.name !== "" && children !== null;
    const preview = isSplit ? { left: children[0], right: children[1] } : null;
    this.store.look({ node, preview, glow: null });
    this.render(); // now, not with the next frame: what is typed on is for the next question
  }

  previous() {
    const node = memory.seen.pop();
    if (node === undefined) this.store.say(text.noPrevious);
    else this.go(node, false);
  }

  skip() {
    const question = this.question;
    if (question === null) return;
    const next = following(this.open, question.node);
    memory.plan.skipped.add(keyOf(question));
    memory.plan.first = memory.plan.first.filter((node) => node !== question.node);
    if (next === null) this.store.say(text.noOther);
    else this.go(next.node);
  }

  // --- acts

  /**
   * Name the node of the card, and go to the next question.
   * @param {string} title
   */
  name(title) {
    const question = this.question;
    if (question === null) return;
    this._answer({ act: "name", node: question.node, title }, question.node);
    if (title !== IGNORE) memory.recent.use(title);
  }

  /**
   * @param {import("../core/types.js").Act} act
   * @param {number} node
   */
  _answer(act, node) {
    memory.plan.first = memory.plan.first.filter((one) => one !== node);
    this.store.act(act);
    this.go(this.open.find((one) => one.node !== node)?.node ?? null);
  }

  unname() {
    const question = this.question;
    if (question !== null) this.store.act({ act: "unname", node: question.node });
  }

  merge() {
    const first = this._alike().find((one) => one.title);
    if (first === undefined) this.store.say(text.noAlike);
    else this.name(first.title);
  }

  twoThings() {
    const question = this.question;
    if (question === null) return;
    if (this.halves !== null) this.leave();
    else if (question.children === null) this.store.say(text.noHalves);
    else this.store.look({ preview: { left: question.children[0], right: question.children[1] } });
  }

  /** Yes, two things: each of them is named next. */
  agree() {
    const halves = this.halves;
    if (halves === null) return;
    memory.plan.first = [...halves, ...memory.plan.first.filter((node) => !halves.includes(node))];
    this.go(halves[0]);
    this.layout.field.focus();
  }

  /** No, one thing: said of both halves, so that it is not asked again. */
  oneThing() {
    const { halves, question, named } = this;
    if (halves === null || question === null || !named) return;
    this._answer({ act: "name", nodes: [...halves], title: named }, question.node);
  }

  leave() {
    this.store.look({ preview: null, glow: null });
  }

  /** @param {number} place */
  _recent(place) {
    const title = memory.recent.slots[place];
    if (title === undefined) return false;
    this.name(title);
    return true;
  }

  _climb() {
    const { node } = this.store.view;
    const parent = node === null ? -1 : (this.store.tree?.parents[node] ?? -1);
    if (parent < 0) return false;
    this.go(parent);
    return true;
  }

  _descend() {
    const children = this.question?.children ?? null;
    if (children === null) return false;
    this.go(children[0]);
    return true;
  }

  // --- what it looks like

  render() {
    const { state, model } = this.store.data;
    const { layout } = this;
    const open = this.open;
    if (open.length && this.store.view.tab === TAB && (this.store.view.node === null || this._early(open[0]))) {
      this.first = open[0].share === null ? open[0].node : null;
      this.go(open[0].node, false);
      return;
    }
    const question = this.question;
    layout.body.hidden = question === null;
    layout.head.hidden = state === null;
    layout.showEmpty(state === null || model === null ? "starting" : question === null ? "done" : null);
    if (state === null) return;
    memory.recent.keep(this.names);
    layout.showHead(progress(open, state.classes), memory.seen.length > 0, open.length > 1);
    if (question === null) return;
    layout.show({
      question,
      named: this.named,
      half: memory.plan.first.includes(question.node),
      alike: this._alike(),
      parent: this.store.tree?.parents[question.node] ?? -1,
    });
    layout.showSplit(this.halves, this.named);
    void this._card();
    this._ahead(open.find((one) => one.node !== question.node) ?? null);
  }

  /**
   * Whether the card shows a first question from before it was known which clusters are large, and
   * nobody has begun with it.
   * @param {Question} best
   */
  _early(best) {
    const { root, field } = this.layout;
    return (
      best.share !== null && this.first !== null && this.first === this.store.view.node &&
      best.node !== this.first && this.store.view.preview === null && field.input.value === "" &&
      !root.matches(":hover, :focus-within")
    );
  }

  async _card() {
    const question = this.question;
    if (question === null) return;
    const show = (/** @type {import("./card_view.js").Card|null} */ card) => {
      const known = this.store.counts.summary(this.store.leaves({ node: question.node }));
      this.layout.showCard(question, card, known);
    };
    show(this.source.peek(question.node));
    let card = await this.source.load(question.node, this._allSeen);
    if (card !== null && card.ready < 1 && this._allSeen) card = await this.source.load(question.node, true);
    if (this.store.view.node === question.node) show(card);
  }

  /** Whether all photos were looked at: a card from before that is out of date. */
  get _allSeen() {
    const { progress } = this.store.data;
    return progress !== null && progress.done >= progress.total;
  }

  /**
   * Fetch what is asked next.
   * @param {Question|null} next
   */
  _ahead(next) {
    if (next === null) return;
    const shown = next.name !== "" && next.children !== null ? next.children : [];
    for (const node of [next.node, ...shown]) void this.source.prefetch(node);
  }

  /** @param {readonly number[]} members */
  _titleOf(members) {
    const { state } = this.store.data;
    return state === null ? "" : titleOf(members, titlesOfLeaves(state.classes)).title;
  }

  /** @param {string} name */
  _class(name) {
    return this.store.data.state?.classes.find((one) => one.name === name);
  }

  /**
   * The colour of a node on the wall.
   * @param {number} node
   */
  _colour(node) {
    const { preview } = this.store.view;
    if (preview?.left === node) return PREVIEW_COLOURS[0];
    if (preview?.right === node) return PREVIEW_COLOURS[1];
    const named = this._titleOf(this.store.tree?.members[node] ?? []);
    return this._class(named)?.colour ?? this.store.data.model?.node_colours[node] ?? "";
  }

  _alike() {
    const { model } = this.store.data;
    const question = this.question;
    if (model === null || question === null) return [];
    const groups = this.store.groups().filter((one) => one.node >= 0 && !one.ignore);
    return mostAlike(model.alike, question.members, groups);
  }
}

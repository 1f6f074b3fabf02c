/** The elements of the card, and how they show a question. What buttons do is up to `cards.js`. */

import { cropStrip, heatView } from "./card_view.js";
import { button, el, fill, say } from "../core/dom.js";
import { NameField } from "./namefield.js";
import { percent, whole } from "../results/numbers.js";
import { splitView } from "./split.js";
import { strings } from "../core/strings.js";

/**
 * @typedef {import("./alike.js").Alike} Alike
 * @typedef {import("./card_view.js").Card} Card
 * @typedef {import("../core/types.js").Question} Question
 * @typedef {import("../core/types.js").Scope} Scope
 *
 * @typedef {Object} CardActs
 * @property {(title: string) => void} name
 * @property {() => void} ignore
 * @property {() => void} unname
 * @property {() => void} merge
 * @property {() => void} skip
 * @property {() => void} previous
 * @property {() => void} twoThings
 * @property {() => void} agree
 * @property {() => void} whole
 * @property {() => void} leave
 * @property {(node: number) => void} go
 * @property {(photo: number) => void} open
 * @property {(scope: Scope|null) => void} glow
 * @property {(tab: import("../core/types.js").Tab) => void} tab
 * @property {() => string[]} names
 * @property {() => readonly string[]} slots
 * @property {(name: string) => string} colourOfName
 * @property {(node: number) => string} colourOf
 *
 * @typedef {Object} Shown  all that the form says
 * @property {Question} question
 * @property {string} named  the name of the node, or ""
 * @property {boolean} half  of a split that is under way
 * @property {Alike[]} alike
 * @property {number} parent  -1 = none
 */

const text = strings.cards;

export class CardLayout {
  /**
   * @param {CardActs} acts
   * @param {import("./card_view.js").CardSource} source
   */
  constructor(acts, source) {
    this.acts = acts;
    this.count = el("p", { class: "card-count" });
    this.back = button(text.previous, acts.previous, { icon: "left", class: "icon-button" });
    this.next = button(text.skip, acts.skip, { icon: "right", class: "icon-button" });
    this.head = el("div", { class: "card-head" }, this.count, this.back, this.next);
    this.swatch = el("i", { class: "swatch large", "aria-hidden": "true" });
    this.title = el("h2", { id: "card-title", "aria-live": "polite" });
    this.facts = el("p", { class: "card-facts" });
    this.typical = cropStrip(text.typical, text.typicalHint, 6, acts.open);
    this.doubtful = cropStrip(text.doubtful, text.doubtfulHint, 3, acts.open);
    this.heat = heatView();
    this.alike = el("ul", { class: "chips" });
    this.field = new NameField({
      label: text.name,
      names: acts.names,
      onName: acts.name,
      colourOf: acts.colourOfName,
      slots: acts.slots,
      onLook: (name) => acts.glow(name === null ? null : { name }),
    });
    this.recent = el("ul", { class: "chips recent", "aria-label": text.recent });
    this.buttons = el("div", { class: "card-acts" });
    this.around = el("div", { class: "card-tree" });
    this.split = splitView(source, {
      agree: acts.agree, whole: acts.whole, leave: acts.leave, open: acts.open,
      look: (node) => acts.glow(node === null ? null : { node }),
    });
    this.single = el(
      "div",
      { class: "card-single" },
      this.typical.root,
      el("div", { class: "card-pair" }, this.doubtful.root, this.heat.root),
      this.field.root, this.recent, this.buttons,
      el("div", { class: "card-alike" }, el("h3", {}, text.alike), this.alike),
      this.around,
    );
    this.body = el(
      "div",
      { class: "card-body" },
      el("header", { class: "card-title" }, this.swatch, el("div", {}, this.title, this.facts)),
      this.split.root, this.single,
    );
    this.empty = el("div", { class: "empty", hidden: true });
    this.root = el(
      "section", { class: "card-panel", "aria-labelledby": "card-title" },
      this.head, this.empty, this.body,
    );
  }

  /**
   * @param {{named: number, left: number, splits: number}} progress
   * @param {boolean} previous  whether there is one
   * @param {boolean} next
   */
  showHead({ named, left, splits }, previous, next) {
    const place = named + Math.min(1, left);
    say(this.count, left ? text.progress(place, named + left) : text.allNamed(named, splits));
    this.back.disabled = !previous;
    this.next.disabled = !next;
  }

  /** @param {"starting"|"done"|null} why  null = there is a card */
  showEmpty(why) {
    this.empty.hidden = why === null;
    if (why === null || this.empty.dataset.why === why) return;
    this.empty.dataset.why = why;
    if (why === "starting") fill(this.empty, el("p", { class: "quiet" }, text.starting));
    else {
      fill(
        this.empty, el("h2", {}, text.done), el("p", {}, text.doneHint),
        el("p", { class: "card-acts" },
          button(text.toPhotos, () => this.acts.tab("photos"), { class: "primary" }),
          button(text.toCheck, () => this.acts.tab("check"))),
      );
    }
  }

  /** @param {Shown} shown */
  show(shown) {
    const { question, named, half, alike, parent } = shown;
    this.swatch.style.background = this.acts.colourOf(question.node);
    say(this.title, half ? text.whatHalf : named || text.what);
    this._field(question, named, half);
    // Nothing is made anew unless it differs: a button keeps the focus, and a chip the pointer.
    const slots = this.acts.slots();
    const key = JSON.stringify([
      question.node, question.children, named, alike, parent, slots,
      slots.map(this.acts.colourOfName), alike.map((one) => this._colour(one)),
    ]);
    if (key === this.root.dataset.key) return;
    this.root.dataset.key = key;
    const focus = placeOfFocus(this.single);
    fill(this.alike, alike.map((one) => el("li", {}, this._alikeChip(one))));
    if (!alike.length) fill(this.alike, el("li", { class: "quiet" }, text.nothingAlike));
    fill(this.recent, slots.map((name, place) =>
      el("li", {}, this._nameChip(name, el("kbd", {}, place + 1)))));
    this._buttons(shown);
    this._around(question, parent);
    restoreFocus(this.single, focus);
  }

  /**
   * @param {Question} question
   * @param {Card|null} card
   * @param {{share: number, photos: number}|null} known  from the counts, as in the list of classes
   */
  showCard(question, card, known) {
    const share = known?.share ?? card?.share ?? question.share;
    const photos = known?.photos ?? card?.photos ?? 0;
    const said = [
      text.cluster(question.node),
      share !== null && text.ofPixels(percent(share)),
      card !== null && text.inPhotos(whole(photos), photos, card.ready),
    ];
    say(this.facts, said.filter(Boolean).join(" · "));
    this.typical.show(card?.typical ?? null);
    this.doubtful.show(card?.doubtful ?? null);
    this.heat.show(card?.heat ?? "");
  }

  /**
   * @param {[number, number]|null} halves
   * @param {string} title
   */
  showSplit(halves, title) {
    this.split.show(halves, title);
    this.single.hidden = halves !== null;
  }

  /**
   * @param {Question} question
   * @param {string} named
   * @param {boolean} half
   */
  _field(question, named, half) {
    const { root, input } = this.field;
    const node = String(question.node);
    input.placeholder = named || text.placeholder;
    if (root.dataset.node === node) return;
    root.dataset.node = node;
    this.field.set(half ? named : "", named || text.placeholder);
    if (half && document.activeElement === input) this.field.focus();
  }

  /** @param {Shown} shown */
  _buttons({ question, named, alike }) {
    const { acts } = this;
    const first = alike.find((one) => one.title);
    fill(
      this.buttons,
      keyed(text.skip, "n", acts.skip),
      keyed(text.ignore, "i", acts.ignore),
      question.children !== null && keyed(text.two, "x", acts.twoThings),
      first !== undefined && keyed(text.sameAs(first.title), "m", acts.merge),
      named !== "" && keyed(text.unname, "", acts.unname),
    );
  }

  /**
   * @param {Question} question
   * @param {number} parent
   */
  _around(question, parent) {
    fill(
      this.around,
      el("span", { class: "quiet" }, text.around),
      parent >= 0 && this._nodeChip(parent, text.whole),
      question.children?.map((node, place) => this._nodeChip(node, text.halves[place])) ?? null,
    );
  }

  /** @param {Alike} alike */
  _alikeChip(alike) {
    const value = el("span", { class: "number quiet" }, alike.cosine.toFixed(2).replace("-", "−"));
    return alike.title
      ? this._nameChip(alike.title, value)
      : this._nodeChip(alike.node, text.cluster(alike.node), value);
  }

  /** @param {Alike} alike */
  _colour(alike) {
    return alike.title ? this.acts.colourOfName(alike.title) : this.acts.colourOf(alike.node);
  }

  /**
   * @param {string} name
   * @param {Node} note
   */
  _nameChip(name, note) {
    const act = () => this.acts.name(name);
    return this._chip({ name }, this.acts.colourOfName(name), name, text.sameAs(name), act, note);
  }

  /**
   * @param {number} node
   * @param {string} label
   * @param {Node} [note]
   */
  _nodeChip(node, label, note) {
    const act = () => this.acts.go(node);
    return this._chip({ node }, this.acts.colourOf(node), label, text.open(node), act, note);
  }

  /**
   * A button that lights up in all photos what it is about.
   * @param {Scope} scope
   * @param {string} colour
   * @param {string} label
   * @param {string} hint
   * @param {() => void} act
   * @param {Node} [note]
   */
  _chip(scope, colour, label, hint, act, note) {
    const show = () => this.acts.glow(scope);
    const hide = () => this.acts.glow(null);
    return el(
      "button",
      {
        type: "button", class: "chip", title: hint,
        on: { click: act, mouseenter: show, mouseleave: hide, focus: show, blur: hide },
      },
      el("i", { class: "swatch", style: { background: colour } }),
      el("span", {}, label),
      note ?? null,
    );
  }
}

/**
 * A button with the key that does the same.
 * @param {string} label
 * @param {string} key
 * @param {() => void} act
 */
export function keyed(label, key, act) {
  const made = button(label, act, {});
  if (key) made.append(" ", el("kbd", {}, key));
  return made;
}

/**
 * Which button has the focus, so that it stays there when buttons are made anew.
 * @param {Element} root
 */
function placeOfFocus(root) {
  const { activeElement } = document;
  if (activeElement === null || !root.contains(activeElement)) return -1;
  return [...root.querySelectorAll("button, input")].indexOf(activeElement);
}

/**
 * @param {Element} root
 * @param {number} place
 */
function restoreFocus(root, place) {
  if (place < 0 || root.contains(document.activeElement)) return;
  const all = [...root.querySelectorAll("button, input")];
  const found = all[Math.min(place, all.length - 1)];
  if (found instanceof HTMLElement) found.focus();
}

/** The two halves of a cluster side by side, before one agrees that they are two things. */

import { cropStrip } from "./card_view.js";
import { button, el, say } from "../core/dom.js";
import { PREVIEW_COLOURS } from "../core/luts.js";
import { percent } from "../results/numbers.js";
import { strings } from "../core/strings.js";

/**
 * @typedef {import("./card_view.js").CardSource} CardSource
 *
 * @typedef {Object} SplitActs
 * @property {() => void} agree  they are two things
 * @property {() => void} whole  they are one thing
 * @property {() => void} leave
 * @property {(photo: number) => void} open
 * @property {(node: number|null) => void} look  the half that is pointed at
 */

/**
 * @param {CardSource} source
 * @param {SplitActs} acts
 */
export function splitView(source, acts) {
  const halves = [half(acts, strings.cards.firstHalf), half(acts, strings.cards.secondHalf)];
  const question = el("p", { class: "split-question" });
  const whole = button("", acts.whole, { class: "quiet-button" });
  const agree = button(strings.cards.agree, acts.agree, { class: "primary" });
  agree.append(" ", el("kbd", {}, "Enter"));
  const leave = button(strings.cards.leave, acts.leave, { class: "quiet-button" });
  leave.append(" ", el("kbd", {}, "Esc"));
  const root = el(
    "section",
    { class: "split", "aria-label": strings.cards.splitLabel, hidden: true },
    question,
    el("div", { class: "halves" }, halves.map((one) => one.root)),
    el("div", { class: "split-acts" }, agree, whole, leave),
  );
  /** @type {[number, number]|null} */
  let shown = null;
  return {
    root,
    /**
     * @param {[number, number]|null} nodes  null hides it
     * @param {string} title  of the whole; "" = it has none
     */
    show(nodes, title) {
      root.hidden = nodes === null;
      shown = nodes;
      if (nodes === null) return;
      say(question, title ? strings.cards.isOne(title) : strings.cards.isTwo);
      whole.hidden = !title;
      if (whole.dataset.title !== title) {
        whole.dataset.title = title;
        whole.replaceChildren(strings.cards.allOf(title), " ", el("kbd", {}, "o"));
      }
      nodes.forEach((node, place) => {
        halves[place].show(node, PREVIEW_COLOURS[place], source.peek(node));
        source.load(node).then((card) => {
          if (shown?.[place] === node && card !== null) halves[place].show(node, PREVIEW_COLOURS[place], card);
        });
      });
    },
  };
}

/**
 * @param {SplitActs} acts
 * @param {string} label
 */
function half(acts, label) {
  const swatch = el("i", { class: "swatch large" });
  const facts = el("span", { class: "quiet" });
  const typical = cropStrip(strings.cards.typical, strings.cards.typicalHint, 6, acts.open);
  /** @type {number|null} */
  let shown = null;
  const root = el(
    "div",
    {
      class: "half",
      on: { mouseenter: () => acts.look(shown), mouseleave: () => acts.look(null) },
    },
    el("p", { class: "half-head" }, swatch, el("b", {}, label), facts),
    typical.root,
  );
  return {
    root,
    /**
     * @param {number} node
     * @param {string} colour
     * @param {import("./card_view.js").Card|null} card
     */
    show(node, colour, card) {
      shown = node;
      swatch.style.background = colour;
      say(facts, card === null ? strings.cards.loading : strings.cards.ofPixels(percent(card.share)));
      typical.show(card?.typical ?? null);
    },
  };
}

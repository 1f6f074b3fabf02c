/**
 * "This is ...": the small question beside a place of the photo. It takes nothing over; Escape or a
 * click elsewhere closes it.
 */

import { button, el, fill, say } from "../core/dom.js";
import { NameField } from "../clusters/namefield.js";
import { strings } from "../core/strings.js";

/**
 * @typedef {"here"|"everywhere"} Reach
 *
 * @typedef {Object} Question
 * @property {readonly [number, number]} at  CSS pixels in the box of the stage
 * @property {string} now  what the place is at present
 * @property {boolean} reach  whether it may be named everywhere
 * @property {boolean} touch  a finger asks
 * @property {(title: string, reach: Reach) => void} answer
 * @property {() => void} closed
 *
 * @typedef {Object} Means
 * @property {() => readonly string[]} names  in use
 * @property {() => readonly string[]} slots  those on the keys 1 to 9
 * @property {(title: string) => string} colourOf
 */

export class Chooser {
  /** @param {Means} means */
  constructor(means) {
    const text = strings.viewer;
    this.means = means;
    /** @type {Question|null} */
    this.question = null;
    /** @type {Reach} */
    this.reach = "here";
    this.now = el("p", { class: "chooser-now" });
    this.field = new NameField({
      label: text.thisIs, names: means.names, slots: means.slots, colourOf: means.colourOf,
      onName: (title) => this._answer(title),
    });
    this.slots = el("div", { class: "chooser-slots", role: "group", "aria-label": text.classes });
    this.reaches = el("fieldset", { class: "chooser-reach" },
      el("legend", { class: "visually-hidden" }, text.reach),
      this._radio("here", text.here), this._radio("everywhere", text.everywhere));
    this.root = el("div",
      { class: "chooser", role: "dialog", tabindex: -1, "aria-label": text.thisIs, hidden: true },
      this.now, this.field.root, this.slots, this.reaches,
      button(text.closeChooser, () => this.close(), { icon: "close", class: "chooser-close quiet-button" }));
    this.root.addEventListener("keydown", (event) => {
      const typing = event.target === this.field.input;
      const slot = typing ? undefined : means.slots()[Number(event.key) - 1];
      if (event.key === "Escape") this.close();
      else if (slot !== undefined) this._answer(slot);
      else return;
      event.preventDefault();
      event.stopPropagation();
    }, true);
  }

  get open() {
    return this.question !== null;
  }

  /** @param {Question} question */
  ask(question) {
    this.question?.closed();
    this.question = question;
    say(this.now, question.now);
    this.reaches.hidden = !question.reach;
    fill(this.slots, this.means.slots().map((title, place) => button(title, () => this._answer(title), {
      class: "class-chip", style: { "--colour": this.means.colourOf(title) },
      "data-key": place + 1,
    })));
    this.field.set();
    this.root.hidden = false;
    this._place(question.at);
    if (question.touch) this.root.focus({ preventScroll: true }); // a keyboard would cover the names
    else this.field.focus();
  }

  close() {
    const { question } = this;
    if (question === null) return;
    this.question = null;
    this.root.hidden = true;
    question.closed();
  }

  /** @param {string} title */
  _answer(title) {
    const { question } = this;
    if (question === null) return;
    this.question = null;
    this.root.hidden = true;
    question.answer(title, question.reach ? this.reach : "here");
    question.closed();
  }

  /**
   * Beside the place, inside the stage.
   * @param {readonly [number, number]} at
   */
  _place([x, y]) {
    const parent = this.root.parentElement;
    if (parent === null) return;
    const { offsetWidth, offsetHeight } = this.root;
    const right = x + 16 + offsetWidth <= parent.clientWidth ? x + 16 : x - 16 - offsetWidth;
    const left = Math.max(8, Math.min(right, parent.clientWidth - offsetWidth - 8));
    const top = Math.max(8, Math.min(y - 24, parent.clientHeight - offsetHeight - 8));
    this.root.style.left = `${left}px`;
    this.root.style.top = `${top}px`;
  }

  /**
   * @param {Reach} reach
   * @param {string} label
   */
  _radio(reach, label) {
    const input = el("input", {
      type: "radio", name: "reach", value: reach, checked: this.reach === reach,
      on: { change: () => { this.reach = reach; this.field.input.focus(); } },
    });
    return el("label", {}, input, label);
  }
}

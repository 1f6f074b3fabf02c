/** The tab Check: one crop, one question, three keys; accuracy with its interval grows beside it. */

import { get, post } from "../core/api.js";
import { resultOf } from "./check_result.js";
import { button, el, fill, say, set } from "../core/dom.js";
import { keys } from "../core/keys.js";
import { NameField } from "../clusters/namefield.js";
import { strings } from "../core/strings.js";

/**
 * @typedef {import("../core/store.js").Store} Store
 *
 * @typedef {Object} Asked
 * @property {number} number
 * @property {number} photo
 * @property {string} name
 * @property {string} predicted
 * @property {string} crop  address of the picture
 *
 * @typedef {Object} Check  GET /api/check
 * @property {"none"|"planning"|"ready"|"stale"|"done"|"failed"} state
 * @property {number} done
 * @property {number} total
 * @property {Asked|null} question
 * @property {string[]} next  addresses of the next crops
 * @property {import("./verdict.js").AuditResult|null} result
 * @property {number} target  half-width in points at which it ends by itself
 * @property {string} problem
 */

const TAB = "check";
const CHECKS = 400; // pixels that are planned; few checks need as many
/** Targets: half-width in points, and how many answers and minutes that takes at about 82 %. */
const TARGETS = /** @type {const} */ ([[10, 50, 5], [7.5, 100, 10], [5, 240, 25]]);
const text = strings.check;

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @returns {() => void}
 */
export function mount(root, store) {
  const audit = new Audit(store);
  fill(root, audit.root);
  const off = audit.start();
  return () => {
    off.forEach((one) => one());
    fill(root);
  };
}

class Audit {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    /** Number of the question whose answer is on its way. @type {number|null} */
    this.sending = null;
    this.asked = 0;
    this.target = 7.5;
    this.checks = CHECKS;
    /** Crops ahead of time, kept so that they show at once. @type {Map<string, HTMLImageElement>} */
    this.ahead = new Map();
    /** @type {Check|null} */
    this.known = null;
    this.begin = el("section", { class: "check-begin", "aria-labelledby": "check-title" });
    this.notice = el("div", { class: "notice", role: "status", hidden: true });
    this.count = el("p", { class: "quiet number" });
    this.title = el("h2", { "aria-live": "polite" });
    /** @type {HTMLImageElement} */
    this.image = el("img", { class: "check-crop", alt: "", decoding: "async" });
    this.photo = el("p", { class: "quiet check-photo" });
    this.right = answerButton(text.right, "y", "→", () => this.answer(true), "right");
    this.wrong = answerButton(text.wrong, "n", "←", () => this.answer(false), "wrong");
    this.field = new NameField({
      label: text.what,
      names: () => this._names(),
      onName: (title) => this.answer(false, title),
      colourOf: (name) => this._colour(name),
      slots: () => this._names(),
    });
    this.field.set("", text.placeholder);
    this.chips = el("ul", { class: "chips recent", "aria-label": text.names });
    this.ask = el(
      "section",
      { class: "check-question", "aria-label": text.question, hidden: true },
      this.count, this.title, this.image, this.photo,
      el("div", { class: "check-answers" }, this.right, this.wrong),
      this.field.root, this.chips,
    );
    this.figures = el("section", { class: "check-result", "aria-label": text.result });
    this.root = el(
      "div",
      { class: "check-panel" },
      this.begin,
      el("div", { class: "check-columns" }, el("div", {}, this.notice, this.ask), this.figures),
    );
  }

  /** @returns {(() => void)[]} */
  start() {
    const answered = (/** @type {() => void} */ act) => () => (this.question === null ? false : act());
    const bind = (
      /** @type {string} */ key,
      /** @type {string} */ label,
      /** @type {() => void} */ act,
    ) => keys.add(TAB, key, label, answered(act));
    const off = [
      bind("y", text.keyRight, () => this.answer(true)),
      bind("ArrowRight", text.keyRight, () => this.answer(true)),
      bind("n", text.keyWrong, () => this.answer(false)),
      bind("ArrowLeft", text.keyWrong, () => this.answer(false)),
      bind("Enter", text.keyWhat, () => this.field.focus()),
      ...Array.from({ length: 9 }, (_, place) =>
        bind(String(place + 1), text.keyName, () => {
          const name = this._names()[place];
          if (name !== undefined) this.answer(false, name);
        }),
      ),
      this.store.on((what) => {
        if (what.has("check.news") || what.has("state")) void this.load();
        if (["check", "state", "status", "view.tab"].some((part) => what.has(part))) this.render();
      }),
    ];
    this.render();
    void this.load();
    return off;
  }

  /**
   * What the server said last; its events only say that something is new.
   * @returns {Check|null}
   */
  get check() {
    const { check } = this.store.data;
    if (check !== null && check.question !== undefined) this.known = check;
    if (this.known === null || check?.state !== "planning") return this.known;
    return { ...this.known, ...check };
  }

  get question() {
    const check = this.check;
    const asks = check !== null && (check.state === "ready" || check.state === "done");
    return asks && !this.finished ? check.question : null;
  }

  /** It ended by itself, and nobody has asked for more. */
  get finished() {
    const check = this.check;
    return check !== null && (check.state === "done" || check.question === null);
  }

  async load() {
    if (this.store.data.status?.phase !== "ready") return;
    this.asked += 1;
    const number = this.asked;
    try {
      const check = await get("/api/check");
      if (number === this.asked) this.store.put({ check }); // else a later answer is here already
    } catch (error) {
      this.store.fail(error);
    }
  }

  /**
   * Begin, or go on: the same model is asked the same questions again, so answers count.
   * @param {number} target
   * @param {number} [checks]
   */
  async plan(target, checks = CHECKS) {
    this.target = target;
    this.checks = Math.max(this.checks, checks);
    try {
      this.asked += 1;
      const number = this.asked;
      const check = await post("/api/check", { checks: this.checks, seed: 0, target });
      if (number === this.asked) this.store.put({ check });
      void this.load(); // the news that it is planned may have come before this answer
    } catch (error) {
      this.store.fail(error);
    }
  }

  /**
   * @param {boolean} right
   * @param {string} [title]  what it is, of a wrong one
   */
  async answer(right, title = "") {
    const question = this.question;
    // The next question may be here before the server's reply: news of it came first.
    if (question === null || this.sending === question.number) return;
    this.sending = question.number;
    const truly = right || title === question.predicted;
    this._flash(truly);
    this.asked += 1;
    const number = this.asked;
    try {
      const check = await post("/api/check/answer", {
        number: question.number, right: truly, title: truly ? "" : title,
      });
      if (number === this.asked) this.store.put({ check });
    } catch (error) {
      this.store.fail(error);
    } finally {
      if (this.sending === question.number) this.sending = null;
    }
  }

  /** @param {boolean} right */
  _flash(right) {
    const pressed = right ? this.right : this.wrong;
    pressed.classList.add("pressed");
    setTimeout(() => pressed.classList.remove("pressed"), 150);
    this.field.set("", text.placeholder);
  }

  render() {
    const check = this.check;
    const state = check?.state ?? "none";
    const asked = this.question;
    this.ask.hidden = asked === null;
    this.begin.hidden = !["none", "stale", "planning", "failed"].includes(state);
    this._begin(state, check);
    this._notice(state, check);
    if (asked !== null && check !== null) this._show(asked, check);
    this._result(check);
  }

  /**
   * @param {string} state
   * @param {Check|null} check
   */
  _begin(state, check) {
    if (this.begin.hidden) return;
    const named = this._names().length > 0;
    const key = `${state} ${named} ${check?.problem} ${check?.done} ${check?.total}`;
    if (this.begin.dataset.key === key) return;
    this.begin.dataset.key = key;
    const heading = state === "stale" ? text.stale : state === "failed" ? text.failed : text.title;
    const hint = state === "stale" ? text.staleHint : state === "failed" ? check?.problem : text.hint;
    const title = el("h2", { id: "check-title" }, heading);
    if (!named) {
      const there = () => this.store.look({ tab: "clusters" });
      fill(this.begin, title, el("p", {}, text.noNames), button(text.toNames, there, { class: "primary" }));
    } else if (state === "planning" && check !== null) {
      fill(
        this.begin, title, el("p", {}, text.planning),
        el("progress", { max: check.total || 1, value: check.done, "aria-label": text.planning }),
      );
    } else {
      const begin = () => this.plan(this.target);
      fill(
        this.begin, title, el("p", {}, hint), this._choices(),
        button(state === "none" ? text.begin : text.anew, begin, { class: "primary" }),
      );
    }
  }

  _choices() {
    return el(
      "fieldset",
      { class: "choices" },
      el("legend", {}, text.howMany),
      TARGETS.map(([half, answers, minutes]) =>
        el(
          "label",
          { class: "choice" },
          el("input", {
            type: "radio", name: "target", value: String(half), checked: half === this.target,
            on: { change: () => { this.target = half; } },
          }),
          el("b", {}, text.target(half)),
          el("span", { class: "quiet" }, text.promise(answers, minutes)),
        ),
      ),
    );
  }

  /**
   * @param {string} state
   * @param {Check|null} check
   */
  _notice(state, check) {
    const over = check !== null && this.finished && (state === "ready" || state === "done");
    this.notice.hidden = !over;
    if (!over || check === null) return;
    const narrow = check.question !== null;
    const key = `${narrow} ${check.total} ${check.target}`;
    if (this.notice.dataset.key === key) return;
    this.notice.dataset.key = key;
    const next = TARGETS.map(([half]) => half).find((half) => half < check.target) ?? check.target / 2;
    fill(
      this.notice,
      el("h2", {}, narrow ? text.narrow : text.all),
      el("p", {}, narrow ? text.narrowHint(check.target) : text.allHint),
      el("p", { class: "card-acts" },
        button(text.toResults, () => this.store.look({ tab: "results" }), { class: "primary" }),
        narrow
          ? button(text.goOn(next), () => this.plan(next))
          : button(text.more, () => this.plan(check.target, check.total + CHECKS))),
    );
  }

  /**
   * @param {Asked} asked
   * @param {Check} check
   */
  _show(asked, check) {
    say(this.count, text.count(check.done + 1));
    if (this.image.getAttribute("src") !== asked.crop) {
      /** @type {HTMLImageElement} */
      const image = this.ahead.get(asked.crop) ?? el("img", { src: asked.crop, decoding: "async" });
      set(image, { class: "check-crop", alt: text.cropOf(asked.name) });
      this.image.replaceWith(image);
      this.image = image;
      fill(
        this.title, text.isIt[0],
        el("span", { class: "asked-class" },
          el("i", { class: "swatch", style: { background: this._colour(asked.predicted) } }), asked.predicted),
        text.isIt[1],
      );
      const open = () => this.store.look({ tab: "photos", photo: asked.photo });
      fill(this.photo, button(asked.name, open, { class: "link-button" }));
    }
    this.ahead = new Map(
      check.next.map((one) => [one, this.ahead.get(one) ?? el("img", { src: one, decoding: "async" })]),
    );
    const names = this._names().slice(0, 9);
    const key = names.join("\n");
    if (this.chips.dataset.key === key) return;
    this.chips.dataset.key = key;
    fill(
      this.chips,
      names.map((name, place) =>
        el(
          "li",
          {},
          el(
            "button",
            { type: "button", class: "chip", on: { click: () => this.answer(false, name) } },
            el("i", { class: "swatch", style: { background: this._colour(name) } }),
            el("span", {}, name), el("kbd", {}, place + 1),
          ),
        ),
      ),
    );
  }

  /** @param {Check|null} check */
  _result(check) {
    const result = check?.result ?? null;
    this.figures.hidden = check === null || result === null || check.state === "none";
    if (check === null || result === null || this.figures.hidden) return;
    fill(this.figures, resultOf(result, check.target, (name) => this._colour(name)));
  }

  _names() {
    const classes = this.store.data.state?.classes ?? [];
    return classes.filter((one) => !one.ignore).map((one) => one.name);
  }

  /** @param {string} name */
  _colour(name) {
    return this.store.data.state?.classes.find((one) => one.name === name)?.colour ?? "";
  }
}

/**
 * @param {string} label
 * @param {string} key
 * @param {string} arrow
 * @param {() => void} act
 * @param {string} kind
 */
function answerButton(label, key, arrow, act, kind) {
  const made = button(label, act, { class: `answer ${kind}` });
  made.append(" ", el("kbd", {}, key), el("kbd", {}, arrow));
  return made;
}

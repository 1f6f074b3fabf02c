/** The list of all keys, over the page; Escape or a click beside it closes it. */

import { button, el, fill } from "./dom.js";
import { strings } from "./strings.js";

/** @typedef {import("./keys.js").Keys} Keys */

const text = strings.keys;

export class KeysList {
  /** @param {Keys} keys */
  constructor(keys) {
    this.keys = keys;
    this.content = el("div", { class: "keys-rows" });
    this.root = el(
      "dialog",
      { class: "keys-list", "aria-labelledby": "keys-title" },
      el(
        "header", {},
        el("h2", { id: "keys-title" }, text.title),
        button(text.close, () => this.root.close(), { icon: "close", class: "quiet-button" }),
      ),
      this.content,
    );
    this.root.addEventListener("click", (event) => {
      if (event.target === this.root) this.root.close();
    });
  }

  /** @param {string} tab */
  toggle(tab) {
    if (this.root.open) {
      this.root.close();
      return;
    }
    fill(
      this.content,
      this.keys.listed(tab).map(({ label, keys }) =>
        el("div", { class: "keys-row" }, el("span", {}, label), el("span", {}, shortened(keys).map(cap))),
      ),
    );
    this.root.showModal();
  }
}

/**
 * Keys of digits that follow each other as their first and last.
 * @param {string[]} keys
 */
function shortened(keys) {
  const digits = keys.filter((key) => /^[0-9]$/.test(key));
  if (digits.length < 3) return keys;
  return [`${digits[0]} – ${digits[digits.length - 1]}`, ...keys.filter((key) => !digits.includes(key))];
}

/** @param {string} key */
function cap(key) {
  const names = /** @type {Record<string, string>} */ (text.names);
  return el("kbd", {}, key.split("+").map((part) => names[part] ?? part).join(" + "));
}

/** A field for a name with suggestions of those in use: a combobox for mouse, keys and screen readers. */

import { el, fill } from "../core/dom.js";
import { strings } from "../core/strings.js";
import { settled, suggestions } from "./suggest.js";

/**
 * @typedef {Object} NameFieldOptions
 * @property {string} label
 * @property {() => readonly string[]} names  in use, in the order of offering
 * @property {(title: string) => void} onName
 * @property {() => void} [onEmpty]  Enter without a name
 * @property {(name: string) => string} [colourOf]
 * @property {() => readonly string[]} [slots]  names on the digits, which work while it is empty
 * @property {(name: string|null) => void} [onLook]  the name that is pointed at
 */

let made = 0;

export class NameField {
  /** @param {NameFieldOptions} options */
  constructor(options) {
    made += 1;
    this.options = options;
    const list = `names-${made}`;
    this.input = el("input", {
      class: "name-input", id: `name-${made}`, type: "text", role: "combobox", autocomplete: "off",
      spellcheck: "false", autocapitalize: "off", maxlength: 100, enterkeyhint: "next",
      "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list,
      on: {
        input: () => this._offer(),
        keydown: (event) => this._key(/** @type {KeyboardEvent} */ (event)),
        blur: () => this._close(),
      },
    });
    this.list = el("ul", {
      class: "name-list", id: list, role: "listbox", "aria-label": strings.cards.names, hidden: true,
    });
    this.label = el("label", { for: this.input.id, class: "name-label" }, options.label);
    this.root = el("div", { class: "name-field" }, this.label, this.input, this.list);
    /** @type {string[]} */
    this._offered = [];
    this._active = -1;
  }

  /**
   * Empty it, or put a name in it to be changed or kept.
   * @param {string} [text]
   * @param {string} [placeholder]
   */
  set(text = "", placeholder = "") {
    this.input.value = text;
    this.input.placeholder = placeholder;
    this._close();
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  /** @param {KeyboardEvent} event */
  _key(event) {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    const open = !this.list.hidden;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const step = event.key === "ArrowDown" ? 1 : -1;
      if (!open) this._offer();
      else this._choose((this._active + step + this._offered.length) % this._offered.length);
    } else if (event.key === "Enter") this._take(this._offered[this._active] ?? this.input.value);
    else if (event.key === "Escape" && open) this._close();
    else if (event.key === "Escape") this.input.blur();
    else if (this._slot(event.key) !== undefined) this._take(/** @type {string} */ (this._slot(event.key)));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * The name on a digit, while nothing is typed.
   * @param {string} key
   */
  _slot(key) {
    if (this.input.value !== "" || !/^[1-9]$/.test(key)) return undefined;
    return this.options.slots?.()[Number(key) - 1];
  }

  /** @param {string} text */
  _take(text) {
    const title = settled(this.options.names(), text);
    this._close();
    if (!title) this.options.onEmpty?.();
    else this.options.onName(title);
  }

  _offer() {
    this._offered = suggestions(this.options.names(), this.input.value);
    this._active = -1;
    const digits = this.options.slots?.() ?? [];
    fill(
      this.list,
      this._offered.map((name, place) => {
        const digit = digits.indexOf(name) + 1;
        return el(
          "li",
          {
            role: "option", id: `${this.list.id}-${place}`, class: "name-option",
            "aria-selected": "false",
            on: {
              mousedown: (event) => event.preventDefault(), // keep the focus in the field
              click: () => this._take(name),
              mousemove: () => this._choose(place),
            },
          },
          el("i", { class: "swatch", style: { background: this.options.colourOf?.(name) ?? "" } }),
          el("span", {}, name),
          digit > 0 && el("kbd", {}, digit),
        );
      }),
    );
    this.list.hidden = this._offered.length === 0;
    this.input.setAttribute("aria-expanded", String(!this.list.hidden));
    this.input.removeAttribute("aria-activedescendant");
  }

  /** @param {number} place */
  _choose(place) {
    if (place === this._active) return;
    this._active = place;
    [...this.list.children].forEach((option, number) => {
      option.setAttribute("aria-selected", String(number === place));
      if (number === place) option.scrollIntoView({ block: "nearest" });
    });
    this.input.setAttribute("aria-activedescendant", `${this.list.id}-${place}`);
    this.options.onLook?.(this._offered[place] ?? null);
  }

  _close() {
    if (this._active >= 0) this.options.onLook?.(null);
    this._active = -1;
    this._offered = [];
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }
}

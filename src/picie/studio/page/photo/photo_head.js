/** Name and state of the photo in the large view, with the steps to the next one. */

import { button, el, say } from "../core/dom.js";
import { strings } from "../core/strings.js";

const text = strings.viewer;

export class PhotoHead {
  /** @param {{back: () => void, next: () => void, accept: () => void}} means */
  constructor(means) {
    this.name = el("h2", { class: "photo-name" });
    this.badge = el("span", { class: "photo-badge", hidden: true }, text.accepted);
    this.accept = button(text.accept, means.accept, {
      class: "primary", "aria-keyshortcuts": "a", title: `${text.acceptHint} (a)`,
    });
    this.hint = el("p", { class: "hint photo-hint" });
    this.root = el("div", { class: "photo-head" },
      el("div", { class: "photo-title" }, this.name, this.badge),
      el("div", { class: "photo-steps" },
        button(text.back, means.back, {
          icon: "left", class: "quiet-button", "aria-keyshortcuts": "Shift+Space",
        }),
        this.accept,
        button(text.next, means.next, {
          icon: "right", class: "quiet-button", "aria-keyshortcuts": "Space",
        })),
      this.hint);
  }

  /**
   * @param {string} name
   * @param {boolean} accepted
   */
  show(name, accepted) {
    say(this.name, name);
    this.name.title = name;
    this.badge.hidden = !accepted;
    say(this.accept, accepted ? text.unaccept : text.accept);
    this.accept.classList.toggle("primary", !accepted);
  }
}

/** Masks, the model, the report and the labelled set: what can be taken along, in plain words. */

import { get } from "../core/api.js";
import { button, el, fill } from "../core/dom.js";
import { copyButton, order } from "./jobs.js";
import { counted } from "./numbers.js";
import { strings } from "../core/strings.js";

/**
 * @typedef {import("../core/store.js").Store} Store
 *
 * @typedef {Object} Format  of GET /api/formats
 * @property {"export"|"model"} kind
 * @property {string} format
 * @property {string|null} install  command that installs what it lacks
 * @property {boolean} rasters  for georeferenced rasters only
 */

const text = strings.exporting;

export class Exporting {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.masks = el("ul", { class: "formats" });
    this.model = el("ul", { class: "formats" });
    this.labelled = el("div", { class: "labelled-set" });
    this.photos = el(
      "select",
      { id: "export-photos" },
      Object.entries(text.photos).map(([value, label]) => el("option", { value }, label)),
    );
    this.root = el(
      "section",
      { class: "exporting", id: "export", "aria-labelledby": "export-title" },
      el("h2", { id: "export-title", tabindex: -1 }, text.title),
      el("p", { class: "quiet" }, text.hint),
      el("h3", {}, text.masks),
      el("p", { class: "photos-choice" }, el("label", { for: "export-photos" }, text.withPhotos), this.photos),
      this.masks,
      el("h3", {}, text.labelledTitle), this.labelled,
      el("h3", {}, text.modelTitle), this.model,
      el("h3", {}, text.reportTitle),
      el("p", {}, text.reportHint),
      button(text.report, () => order(store, { kind: "report" })),
    );
    this.hub = this._hub();
  }

  /** @returns {Promise<boolean>}  whether the formats are there now */
  async load() {
    try {
      /** @type {Format[]} */
      const formats = await get("/api/formats");
      fill(this.masks, formats.filter((one) => one.kind === "export").map((one) => this._mask(one)));
      fill(this.model, formats.filter((one) => one.kind === "model").map((one) => this._model(one)));
      return true;
    } catch (error) {
      this.store.fail(error);
      return false;
    }
  }

  render() {
    const accepted = this.store.data.state?.accepted.length ?? 0;
    if (this.labelled.dataset.count === String(accepted)) return;
    this.labelled.dataset.count = String(accepted);
    if (accepted === 0) {
      fill(this.labelled, el("p", {}, text.noneAccepted),
        button(text.toPhotos, () => this.store.look({ tab: "photos" })));
    } else {
      fill(this.labelled, el("p", {}, text.labelledHint(counted(accepted, "photo"))),
        button(text.labelled, () => order(this.store, { kind: "labelled" })));
    }
  }

  /** @param {Format} format */
  _mask(format) {
    const words = text.formats[/** @type {keyof typeof text.formats} */ (format.format)];
    const start = () => order(this.store, { kind: "export", format: format.format, photos: this.photos.value });
    return this._row(format, words ?? [format.format, ""], start);
  }

  /** @param {Format} format */
  _model(format) {
    const words = text.models[/** @type {keyof typeof text.models} */ (format.format)] ?? [format.format, ""];
    if (format.format === "hub" && format.install === null) return this.hub;
    return this._row(format, words, () => order(this.store, { kind: "model", format: format.format }));
  }

  /**
   * @param {Format} format
   * @param {readonly string[]} words  title, what opens it
   * @param {() => void} start
   */
  _row(format, [title, opens], start) {
    const { install } = format;
    const act = install === null
      ? button(text.export, start, { "aria-label": text.exportAs(title) })
      : copyButton(this.store, text.copyInstall, install);
    return el(
      "li",
      { class: "format" },
      el("div", {}, el("b", {}, title), el("p", { class: "quiet" }, opens),
        install !== null && el("p", { class: "lacks" }, text.lacks, el("code", {}, install))),
      act,
    );
  }

  /** The one thing here that leaves this machine, so it says so. */
  _hub() {
    const name = el("input", { type: "text", id: "hub-name", placeholder: text.hubPlaceholder, spellcheck: "false" });
    const open = el("input", { type: "checkbox", id: "hub-public" });
    const send = () => {
      if (!/^[^/\s]+\/[^/\s]+$/.test(name.value.trim())) {
        this.store.fail(text.hubName);
        name.focus();
      } else {
        order(this.store, { kind: "model", format: "hub", name: name.value.trim(), public: open.checked });
      }
    };
    return el(
      "li",
      { class: "format hub" },
      el("div", {},
        el("b", {}, text.models.hub[0]), el("p", { class: "warning" }, text.uploads),
        el("p", { class: "hub-fields" },
          el("label", { for: "hub-name" }, text.hubLabel), name, open, el("label", { for: "hub-public" }, text.hubPublic))),
      button(text.upload, send),
    );
  }
}

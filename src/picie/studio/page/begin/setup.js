/** Before there is a model: what to learn from and how, then how far the training is. */

import { get } from "../core/api.js";
import { button, el, fill, say } from "../core/dom.js";
import { FirstMasks } from "./first_masks.js";
import { cancel, isOpen, order } from "../results/jobs.js";
import { counted, expectation, trainingSeconds } from "../results/numbers.js";
import { strings } from "../core/strings.js";

/**
 * @typedef {import("../core/store.js").Store} Store
 * @typedef {"fast"|"best"} Preset
 *
 * @typedef {Object} Resumable  an interrupted training
 * @property {number} epochs
 * @property {number} done
 * @property {number} clusters
 *
 * @typedef {{preview?: boolean, resumable?: Resumable|null}} Extra  of the status

 */

const text = strings.setup;
const COUNTED = /\d+\/\d+/; // a line of progress; others are for a terminal
const [LEAST, MOST, USUAL] = [2, 60, 24];

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @returns {() => void}
 */
export function mount(root, store) {
  const setup = new Setup(store);
  fill(root, setup.root);
  setup.render();
  void setup.load();
  const off = store.on((what) => {
    if (["status", "photos", "jobs"].some((part) => what.has(part))) setup.render();
    if (what.has("maps") || what.has("state")) setup.photos.paint();
  });
  return () => {
    off();
    setup.photos.close();
    fill(root);
  };
}

class Setup {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.clusters = USUAL;
    /** @type {Preset} */
    this.preset = "fast";
    this.title = el("h1", { tabindex: -1 });
    this.folder = el("p", { class: "quiet setup-folder" });
    this.photos = new FirstMasks(store);
    this.previewed = el("p", { class: "quiet", role: "status", hidden: true }, text.preview);
    this.form = el("div", { class: "setup-form" });
    this.stage = el("p", { class: "lede" });
    this.bar = el("progress", { "aria-label": text.training });
    this.message = el("p", { class: "quiet number" });
    this.cancel = button(text.cancel, () => this._cancel());
    this.live = el(
      "section", { class: "setup-live", hidden: true },
      this.stage, this.bar, this.message, el("p", { class: "quiet" }, text.meanwhile), this.cancel,
    );
    this.root = el(
      "section", { class: "setup-panel" }, this.title, this.folder, this.form, this.live,
      this.previewed, this.photos.root);
    this.shown = "";
  }

  async load() {
    try {
      for (const job of await get("/api/jobs")) this.store.putJob(job);
    } catch (error) {
      this.store.fail(error);
    }
  }

  get phase() {
    return this.store.data.status?.phase ?? "starting";
  }

  /** The training that is under way, or the last one. */
  get job() {
    const jobs = this.store.data.jobs.filter((one) => one.kind === "train");
    return jobs.find((one) => isOpen(one)) ?? jobs.at(-1) ?? null;
  }

  render() {
    const { status, photos } = this.store.data;
    if (status === null) return;
    const count = photos?.names.length ?? status.photos;
    say(this.folder, text.folder(status.folder, counted(count, "photo")));
    this.photos.show(count);
    const { preview = false, resumable = null } = /** @type {Extra} */ (status);
    this.previewed.hidden = !preview;
    if (preview) void this.photos.load();
    else this.photos.leave();
    const { phase, job } = this;
    const training = phase === "training" || (job !== null && isOpen(job));
    const key = JSON.stringify([phase, training, count, job?.state, resumable]);
    if (key !== this.shown) {
      this.shown = key;
      say(this.title, training ? text.training : text.title);
      if (training) fill(this.form);
      else if (phase === "setup" && count > 0) this._form(count, job, resumable);
      else if (phase === "setup") fill(this.form, el("p", {}, text.noPhotos));
      else fill(this.form, el("p", { class: "quiet" }, status.message || text.starting));
    }
    this.live.hidden = !training;
    if (training) this._progress();
  }

  /**
   * @param {number} count
   * @param {import("../core/types.js").Job|null} last
   * @param {Resumable|null} resumable
   */
  _form(count, last, resumable) {
    const value = el("output", { class: "number", for: "setup-k" }, this.clusters);
    const slider = el("input", {
      type: "range", id: "setup-k", min: LEAST, max: MOST, value: String(this.clusters),
      "aria-describedby": "setup-k-hint",
      on: { input: () => { this.clusters = Number(slider.value); say(value, slider.value); } },
    });
    fill(
      this.form,
      last?.state === "failed" && el("p", { class: "warning", role: "alert" }, text.lastFailed(last.message)),
      last?.state === "cancelled" && el("p", { role: "status" }, text.cancelled),
      this._resume(resumable),
      el("p", { class: "lede" }, text.hint),
      el("div", { class: "setup-k" },
        el("label", { for: "setup-k" }, text.clusters), slider, value,
        el("p", { class: "quiet", id: "setup-k-hint" }, text.clustersHint)),
      el("fieldset", { class: "choices" }, el("legend", {}, text.howGood),
        this._choice("fast", count), this._choice("best", count)),
      el("p", { class: "setup-acts" },
        button(resumable === null ? text.start : text.restart, () => this._start(resumable !== null),
          { class: resumable === null ? "primary large" : "" })),
    );
  }

  /** @param {Resumable|null} resumable */
  _resume(resumable) {
    if (resumable === null) return null;
    const go = () => order(this.store, { kind: "train", resume: true });
    return el("p", { class: "notice" }, text.interrupted(resumable.done, resumable.epochs), " ",
      button(text.resume, go, { class: "primary" }));
  }

  /**
   * @param {Preset} preset
   * @param {number} count
   */
  _choice(preset, count) {
    const [title, hint] = text.presets[preset];
    return el(
      "label",
      { class: "choice" },
      el("input", {
        type: "radio", name: "preset", value: preset, checked: preset === this.preset,
        on: { change: () => { this.preset = preset; } },
      }),
      el("b", {}, title),
      el("span", { class: "quiet" }, `${hint} ${text.takes(expectation(trainingSeconds(count, preset)))}`),
    );
  }

  /** @param {boolean} restart  in place of an interrupted training */
  _start(restart) {
    const { clusters, preset } = this;
    void order(this.store, { kind: "train", clusters, preset, restart });
  }

  _progress() {
    const { job } = this;
    const doing = this.store.data.status?.message ?? "";
    say(this.stage, [job?.label, doing].filter(Boolean).join(": ") || text.starting);
    if (job !== null && job.done > 0) {
      this.bar.max = job.total;
      this.bar.value = job.done;
    } else this.bar.removeAttribute("value");
    say(this.message, job !== null && COUNTED.test(job.message) ? job.message : "");
    this.cancel.hidden = job === null;
  }

  async _cancel() {
    const { job } = this;
    if (job === null) return;
    await cancel(this.store, job.id);
  }
}

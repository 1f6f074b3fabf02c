/** The tab Results: what the photos hold, what it took, and everything that can be taken along. */

import { button, el, fill, say } from "../core/dom.js";
import { Exporting } from "./exporting.js";
import { jobList } from "./jobs.js";
import { listed } from "../clusters/merging.js";
import { counted, duration, percent, whole } from "./numbers.js";
import { PhotoTable } from "./photo_table.js";
import { sharesOf } from "../core/shares.js";
import { strings } from "../core/strings.js";

/**
 * @typedef {import("../core/store.js").Store} Store
 * @typedef {import("../core/types.js").Group} Group
 */

const text = strings.results;
const LEAST_SEGMENT = 0.002; // smaller shares would be invisible in the bar

/**
 * @param {HTMLElement} root
 * @param {Store} store
 * @returns {() => void}
 */
export function mount(root, store) {
  const results = new Results(store);
  fill(root, results.root);
  results.render();
  void results.load();
  const off = store.on((what) => {
    if (["state", "model", "counts", "photos", "progress", "check"].some((part) => what.has(part))) {
      results.render();
    }
    if (what.has("jobs")) results.renderJobs();
    if (what.has("status")) void results.load();
  });
  return () => {
    off();
    fill(root);
  };
}

class Results {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this.loaded = false;
    this.figures = el("dl", { class: "figures" });
    this.bar = el("div", { class: "share-bar", "aria-hidden": "true" });
    this.shares = el("table", { class: "shares" });
    this.empty = el("p", { class: "empty" });
    this.note = el("p", { class: "quiet" });
    this.photos = new PhotoTable(store);
    this.exporting = new Exporting(store);
    this.jobs = jobList(store);
    this.running = el("section", { class: "running", "aria-label": text.jobs }, el("h2", {}, text.jobs), this.jobs.root);
    this.root = el(
      "div",
      { class: "results-panel" },
      el(
        "div",
        { class: "results-main" },
        el("section", { "aria-labelledby": "shares-title" },
          el("h2", { id: "shares-title" }, text.title), this.figures, this.empty, this.bar, this.note, this.shares),
        this.photos.root,
      ),
      el("div", { class: "results-side" }, this.running, this.exporting.root),
    );
  }

  async load() {
    if (this.loaded || this.store.data.status?.phase !== "ready") return;
    this.loaded = true;
    this.loaded = await this.exporting.load(); // else again when the server is back
  }

  renderJobs() {
    this.running.hidden = this.store.data.jobs.length === 0;
    this.jobs.show(this.store.data.jobs);
  }

  render() {
    const { state, model, photos } = this.store.data;
    this.renderJobs();
    this.exporting.render();
    this._figures();
    const counts = this.store.counts.rows();
    const ready = state !== null && model !== null && counts !== null && photos !== null;
    this.empty.hidden = ready;
    this.photos.root.hidden = !ready;
    if (!ready) {
      say(this.empty, text.notYet);
      return;
    }
    const all = this.store.groups();
    const shares = sharesOf(counts, this.store.counts.width, all.map((one) => one.leaves));
    const order = listed(all, (place) => shares.mean[place]);
    const seen = order.filter((place) => shares.found[place] > 0 || all[place].title);
    const failed = this.store.data.progress?.failed ?? 0;
    const left = photos.names.length - shares.photos - failed;
    const note = left > 0 ? text.soFar(whole(shares.photos), whole(photos.names.length)) : text.whole;
    say(this.note, failed ? `${note} ${text.unreadable(failed)}` : note);
    this._shares(all, shares, seen);
    const columns = seen.filter((place) => !all[place].ignore);
    const rows = new Float32Array(photos.names.length * columns.length).fill(NaN);
    const known = Math.min(photos.names.length, shares.rows.length / Math.max(1, all.length));
    for (let photo = 0; photo < known; photo += 1) {
      columns.forEach((place, column) => {
        rows[photo * columns.length + column] = shares.rows[photo * all.length + place];
      });
    }
    this.photos.show(photos.names, columns.map((place) => all[place]), rows);
  }

  _figures() {
    const { state, photos, check } = this.store.data;
    if (state === null) return;
    const named = state.classes.filter((one) => !one.ignore).length;
    const accuracy = check?.result?.accuracy;
    const shown = [
      [text.photos, photos === null ? "–" : whole(photos.names.length)],
      [text.classes, whole(named)],
      [text.time, duration(state.seconds)],
      [text.acts, whole(state.acts)],
      [text.accepted, whole(state.accepted.length)],
    ];
    if (accuracy?.checks) {
      const [low, high] = accuracy.interval;
      shown.push([text.accuracy, `${percent(accuracy.value / 100)} (${Math.round(low)}–${Math.round(high)})`]);
    }
    fill(this.figures, shown.map(([label, value]) => el("div", {}, el("dt", {}, label), el("dd", { class: "number" }, value))));
    if (accuracy === undefined || accuracy === null || !accuracy.checks) {
      const go = () => this.store.look({ tab: "check" });
      this.figures.append(el("div", {}, el("dt", {}, text.accuracy),
        el("dd", {}, button(text.toCheck, go, { class: "link-button" }))));
    }
  }

  /**
   * @param {readonly Group[]} groups
   * @param {import("../core/shares.js").Shares} shares
   * @param {readonly number[]} order
   */
  _shares(groups, shares, order) {
    const segments = order.filter((place) => shares.mean[place] >= LEAST_SEGMENT);
    fill(this.bar, segments.map((place) =>
      el("i", {
        class: groups[place].ignore ? "ignored" : "", title: `${labelOf(groups[place])}: ${percent(shares.mean[place])}`,
        style: { flexGrow: shares.mean[place].toFixed(4), backgroundColor: groups[place].ignore ? "" : groups[place].colour },
      })));
    fill(
      this.shares,
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, text.class),
        el("th", { scope: "col", class: "number" }, text.share), el("th", { scope: "col", class: "number" }, text.inPhotos))),
      el("tbody", {}, order.map((place) =>
        el("tr", {},
          el("th", { scope: "row" },
            el("i", { class: groups[place].ignore ? "swatch ignored" : "swatch", style: groups[place].ignore ? {} : { background: groups[place].colour } }),
            labelOf(groups[place])),
          el("td", { class: "number" }, percent(shares.mean[place])),
          el("td", { class: "number" }, counted(shares.found[place], "photo"))))),
    );
  }
}

/** @param {Group} group */
function labelOf(group) {
  if (group.ignore) return strings.classes.ignored;
  return group.title || strings.cards.cluster(group.node);
}

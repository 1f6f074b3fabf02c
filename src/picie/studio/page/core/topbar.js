/** The bar at the top: folder, tabs, number of clusters, undo and redo, what is saved and ready. */

import { button, el, fill, icon, say, svg } from "./dom.js";
import { strings } from "./strings.js";

/** @typedef {import("./store.js").Store} Store */
/** @typedef {import("./types.js").Tab} Tab */

const text = strings.top;
export const TABS = /** @type {Tab[]} */ (["clusters", "photos", "check", "results"]);

export class TopBar {
  /**
   * @param {Store} store
   * @param {() => void} showKeys
   */
  constructor(store, showKeys) {
    this.store = store;
    this.title = el("h1", { class: "top-title" });
    this.tabs = TABS.map((tab) =>
      el(
        "button",
        {
          type: "button", role: "tab", id: `tab-${tab}`, "aria-controls": "main",
          on: { click: () => store.look({ tab }) },
        },
        text.tabs[tab],
      ),
    );
    this.list = el("div", { role: "tablist", class: "tabs", "aria-label": text.tabsLabel }, this.tabs);
    this.list.addEventListener("keydown", (event) => this._arrow(event));
    this.clusters = el("select", { "aria-label": text.clustersLabel, title: text.clustersLabel });
    this.clusters.addEventListener("change", () => {
      void store.act({ act: "cut", clusters: Number(this.clusters.value) }).catch(() => {});
    });
    this.undo = button("", () => void store.undo(), { icon: "undo", class: "quiet-button" });
    this.redo = button("", () => void store.redo(), { icon: "redo", class: "quiet-button" });
    this.saving = el("span", { class: "top-saved", role: "status" }, icon("check"), el("span"));
    this.ready = el("span", { class: "top-ready quiet" });
    this.bar = el("progress", { class: "ready-bar", max: 1, value: 0, "aria-label": text.readyLabel });
    this.drawer = button(text.drawer, () => store.look({ drawer: !store.view.drawer }), {
      icon: "panel", class: "quiet-button drawer-button", "aria-controls": "side",
    });
    this.export = el(
      "button",
      { type: "button", class: "primary", on: { click: () => store.look({ tab: "results" }) } },
      text.export,
    );
    this.keys = button(text.keys, showKeys, { icon: "keyboard", class: "quiet-button keys-button" });
    /** @type {unknown[]} */
    this._options = [];
  }

  /** @param {HTMLElement} root */
  mount(root) {
    fill(
      root,
      el("div", { class: "top-brand" }, logo(), this.title),
      this.list,
      el(
        "div",
        { class: "top-tools" },
        this.ready, this.saving,
        el("label", { class: "top-clusters" }, el("span", { "aria-hidden": "true" }, text.clustersShort), this.clusters),
        el("span", { class: "top-pair" }, this.undo, this.redo),
        this.keys, this.drawer, this.export,
      ),
      this.bar,
    );
    this.render();
  }

  render() {
    const { data, view } = this.store;
    const ready = data.status?.phase === "ready";
    say(this.title, titleOf(data.status));
    this.title.title = [data.status?.folder, data.status?.run].filter(Boolean).join("\n");
    this.list.hidden = !ready;
    for (const [place, tab] of TABS.entries()) {
      const open = view.tab === tab;
      this.tabs[place].setAttribute("aria-selected", String(open));
      this.tabs[place].tabIndex = open ? 0 : -1;
    }
    this._renderClusters();
    this._renderUndo(this.undo, text.undo(data.state?.undo ?? null), data.state?.undo == null);
    this._renderUndo(this.redo, text.redo(data.state?.redo ?? null), data.state?.redo == null);
    this._renderSaving();
    this._renderReady();
    this.drawer.setAttribute("aria-expanded", String(view.drawer));
    this.drawer.hidden = !ready || view.tab !== "clusters"; // only there is a right column
    this.export.hidden = this.keys.hidden = !ready;
  }

  _renderClusters() {
    const { model, state, status } = this.store.data;
    const label = /** @type {HTMLElement} */ (this.clusters.parentElement ?? this.clusters);
    const ready = status?.phase === "ready"; // the model of first masks cannot be changed
    label.hidden = !ready || model === null || state === null || model.centroids < 3;
    if (model === null || state === null) return;
    if (this._options[0] !== model) {
      this._options = [model];
      const options = [];
      for (let k = 2; k <= model.centroids; k += 1) {
        const name = k === model.suggested ? text.suggested(k) : k === model.trained ? text.trained(k) : String(k);
        options.push(el("option", { value: k }, name));
      }
      fill(this.clusters, options);
    }
    this.clusters.value = String(state.clusters);
  }

  /**
   * @param {HTMLButtonElement} made
   * @param {string} label
   * @param {boolean} disabled
   */
  _renderUndo(made, label, disabled) {
    made.title = label;
    made.setAttribute("aria-label", label);
    made.disabled = disabled;
  }

  _renderSaving() {
    const { data, outbox } = this.store;
    const words = {
      saved: text.saved, saving: text.saving, waiting: text.waiting(outbox.items.length),
    };
    this.saving.dataset.state = data.saving;
    this.saving.hidden = data.state === null;
    say(/** @type {HTMLElement} */ (this.saving.lastElementChild), words[data.saving]);
  }

  _renderReady() {
    const { progress, status } = this.store.data;
    const done = progress === null ? 0 : progress.done;
    const open = progress !== null && done < progress.total && status?.phase === "ready";
    this.ready.hidden = this.bar.hidden = !open;
    if (progress === null || !open) return;
    say(this.ready, text.ready(done, progress.total));
    this.ready.title = text.readyDetail(done, progress.total);
    this.bar.value = done / Math.max(1, progress.total);
  }

  /** @param {KeyboardEvent} event */
  _arrow(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -TABS.length, End: TABS.length };
    const step = steps[/** @type {keyof typeof steps} */ (event.key)];
    if (step === undefined) return;
    event.preventDefault();
    const place = TABS.indexOf(this.store.view.tab) + step;
    const wrapped = Math.abs(step) > 1 ? Math.min(TABS.length - 1, Math.max(0, place)) : (place + TABS.length) % TABS.length;
    this.store.look({ tab: TABS[wrapped] });
    this.tabs[wrapped].focus();
  }
}

/**
 * The name of the folder of photos.
 * @param {import("./types.js").Status|null} status
 */
export function titleOf(status) {
  return status?.folder.split(/[\\/]/).filter(Boolean).at(-1) || status?.title || text.product;
}

/** Four regions of a mask. */
function logo() {
  const parts = [
    ["#e69f00", "M2 2h9v7c-3 3-6 1-9 4z"], ["#56b4e9", "M13 2h9v9c-4 0-6-3-9-1z"],
    ["#009e73", "M2 15c3-3 6-1 9-4v11H2z"], ["#cc79a7", "M13 12c3-2 5 1 9 1v9h-9z"],
  ];
  return svg(
    "svg", { class: "logo", viewBox: "0 0 24 24", role: "img", "aria-label": text.product },
    parts.map(([colour, d]) => svg("path", { d, fill: colour })),
  );
}

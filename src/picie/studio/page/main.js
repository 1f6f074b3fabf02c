/** The page: sets everything up, and shows the panels of the tab that is open. */

import { commandOf } from "./core/command.js";
import { button, el, fill, say } from "./core/dom.js";
import { keys } from "./core/keys.js";
import { KeysList } from "./core/keys_list.js";
import { connect } from "./core/session.js";
import { Store } from "./core/store.js";
import { strings } from "./core/strings.js";
import { TopBar, titleOf } from "./core/topbar.js";
import { Wall } from "./wall/wall.js";

/**
 * @typedef {(root: HTMLElement, store: Store) => () => void} Mount
 * @typedef {{place: "stage"|"side"|"strip", load: () => Promise<{mount: Mount}>}} Panel
 */

/** Panels beside the wall, which is always there. @type {Record<string, Panel[]>} */
const PANELS = {
  setup: [{ place: "stage", load: () => import("./begin/setup.js") }],
  clusters: [{ place: "side", load: () => import("./clusters/cards.js") }],
  photos: [{ place: "stage", load: () => import("./photo/viewer.js") }],
  check: [{ place: "stage", load: () => import("./check/audit.js") }],
  results: [{ place: "stage", load: () => import("./results/results.js") }],
};

/** What the bar at the top shows. */
const TOP = ["status", "model", "state", "progress", "saving", "view.tab", "view.drawer"];

class Page {
  constructor() {
    this.store = new Store();
    this.keysList = new KeysList(keys);
    this.top = new TopBar(this.store, () => this.keysList.toggle(this.store.view.tab));
    this.wall = new Wall(this.store);
    this.main = byId("main");
    this.places = { stage: byId("stage"), side: byId("side"), strip: byId("strip") };
    this.message = el("span");
    this.close = button(strings.status.close, () => this._quiet(), { icon: "close", class: "quiet-button" });
    this.status = byId("status");
    /** @type {(() => void)[]} */
    this._mounted = [];
    this._open = "";
    this._missing = false; // a panel could not be loaded
    this._timer = 0;
  }

  start() {
    const { store } = this;
    say(byId("skip"), strings.top.skip);
    this.top.mount(byId("top"));
    fill(byId("wall"), this.wall.root);
    document.body.append(this.keysList.root);
    fill(this.status, this.message, this.close);
    this._bindKeys();
    store.on((what) => this._changed(what));
    this.wall.start();
    this._arrange();
    const off = connect(store);
    addEventListener("pagehide", off, { once: true });
    addEventListener("pageshow", (event) => {
      if (event.persisted) location.reload();
    });
  }

  /** @param {Set<string>} what */
  _changed(what) {
    const { data, view } = this.store;
    if (TOP.some((one) => what.has(one))) this.top.render();
    if (what.has("status") || what.has("view.tab")) this._arrange();
    if (what.has("view.drawer") || what.has("view.tab")) this._drawer();
    const waiting = data.gone && what.has("saving"); // the number of acts that are kept
    if (what.has("error") || what.has("said") || what.has("gone") || waiting) this._say();
    if (what.has("gone") && !data.gone && this._missing) this._again();
    if (what.has("status")) document.title = `${titleOf(data.status)} · ${strings.top.product}`;
    if (what.has("view.tab")) this.main.setAttribute("aria-labelledby", `tab-${view.tab}`);
  }

  /** Mount the panels of the tab, or those of the phase before there are tabs. */
  _arrange() {
    const phase = this.store.data.status?.phase ?? "starting";
    const early = phase === "setup" || phase === "training";
    const open = early ? "setup" : phase === "ready" ? this.store.view.tab : "clusters";
    this.main.dataset.tab = open;
    const wanted = phase === "starting" || phase === "failed" ? `${open} ${phase}` : open;
    if (wanted === this._open) return;
    this._open = wanted;
    for (const off of this._mounted.splice(0)) off();
    for (const place of Object.values(this.places)) fill(place);
    if (open !== "clusters") this.wall.show(false); // while it can still be measured
    byId("wall").hidden = open !== "clusters";
    if (open === "clusters") this.wall.show(true);
    if (phase === "failed") this._failed();
    else if (phase === "starting") this._starting();
    else for (const panel of PANELS[open] ?? []) void this._mount(panel, wanted);
  }

  /**
   * @param {Panel} panel
   * @param {string} wanted
   */
  async _mount(panel, wanted) {
    try {
      const { mount } = await panel.load();
      if (this._open === wanted) this._mounted.push(mount(this.places[panel.place], this.store));
      this._loadAll();
    } catch (error) {
      console.error(error);
      if (this._open !== wanted) return;
      this._missing = true; // until the server is back
      if (!this.store.data.gone) this.store.fail(error);
    }
  }

  /** Load the panels of the other tabs too: they shall open while the server is gone. */
  _loadAll() {
    for (const panel of Object.values(PANELS).flat()) panel.load().catch(() => {});
  }

  /** Mount anew what could not be loaded. */
  _again() {
    this._missing = false;
    this._open = "";
    this.store.put({ error: "" });
    this._arrange();
  }

  /** Photos are there before the model is. */
  _starting() {
    const text = strings.status;
    fill(
      this.places.side,
      el("div", { class: "starting" }, el("h2", {}, text.starting), el("p", { class: "quiet" }, text.startingDetail),
        el("progress", { "aria-label": text.starting })),
    );
  }

  _failed() {
    fill(
      this.places.side,
      el("div", { class: "empty" }, el("p", {}, strings.status.failed), el("p", {}, this.store.data.status?.message ?? "")),
    );
  }

  _drawer() {
    document.body.classList.toggle("drawer-open", this.store.view.drawer);
  }

  _say() {
    const { data, outbox } = this.store;
    const command = commandOf(data.status, location.port);
    const problem = data.error || (data.gone ? strings.status.gone(command, outbox.items.length) : "");
    const words = problem || data.said;
    this.status.classList.toggle("problem", problem !== "");
    this.status.hidden = words === "";
    this.close.hidden = problem !== "" && !data.error;
    say(this.message, words);
    clearTimeout(this._timer);
    if (problem || !words) return;
    this._timer = window.setTimeout(() => this._quiet(), 5000);
  }

  _quiet() {
    this.store.put({ error: "", said: "" });
  }

  _bindKeys() {
    const { store } = this;
    const text = strings.keys;
    const view = store.view;
    keys.scope = () => view.tab;
    keys.add("*", "u", text.undo, () => void store.undo());
    keys.add("*", "Shift+u", text.redo, () => void store.redo());
    keys.add("*", "Ctrl+z", text.undo, () => void store.undo());
    keys.add("*", "Ctrl+Shift+z", text.redo, () => void store.redo());
    keys.add("*", "h", text.hide, () => store.look({ hidden: true }), () => store.look({ hidden: false }));
    keys.add("*", "c", text.changed, () => store.look({ changed: !view.changed }));
    keys.add("*", "o", text.outlines, () => store.look({ outlines: !view.outlines }));
    keys.add("*", "?", text.all, () => this.keysList.toggle(view.tab));
    keys.add("*", "Escape", text.escape, () => this._escape());
    keys.listen(document);
  }

  /** Close what is open, one thing at a time. */
  _escape() {
    const { data, view } = this.store;
    if (data.error || data.said) this._quiet();
    else if (view.drawer && matchMedia("(max-width: 900px)").matches) this.store.look({ drawer: false });
    else if (view.changed || view.only) this.store.look({ changed: false, only: null });
    else return false;
    return true;
  }
}

/** @param {string} id */
function byId(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

try {
  new Page().start();
} catch (error) {
  console.error(error);
  const status = byId("status");
  status.hidden = false;
  status.textContent = `${strings.status.boot} ${error instanceof Error ? error.message : error}`;
}

/** What the page asks the server for, and when: at the start, on events, and after a break. */

import * as api from "./api.js";
import { orphans } from "./outbox.js";
import { strings } from "./strings.js";

/** @typedef {import("./store.js").Store} Store */

const RETRY = 800; // ms
const ENOUGH = 10; // photos from which the server knows which clusters are large

/**
 * Keep a store up to date until the page is closed.
 * @param {Store} store
 * @returns {() => void}
 */
export function connect(store) {
  const session = new Session(store);
  const off = api.events(
    (kind, data) => session.on(kind, data),
    (open) => session.connected(open),
  );
  void session.refresh();
  return () => {
    off();
    session.close();
  };
}

export class Session {
  /** @param {Store} store */
  constructor(store) {
    this.store = store;
    this._timer = 0;
    this._opened = false;
    this._run = "";
    this._problem = "";
    this._busy = false;
    this._again = false;
    /** @type {() => void} */
    this._release = () => {};
    holdLock(store.page, (release) => {
      this._release = release;
    });
  }

  close() {
    clearTimeout(this._timer);
    this._release();
  }

  /** Ask for everything; what is not there yet is asked for again. */
  async refresh() {
    if (this._busy) {
      this._again = true;
      return;
    }
    this._busy = true;
    clearTimeout(this._timer);
    try {
      await this._load();
      if (this._problem && this.store.data.error === this._problem) this.store.put({ error: "" });
      this._problem = "";
      this.store.setGone(false);
      this.store.outbox.wake();
    } catch (error) {
      if (error instanceof api.Gone) this.store.setGone(true);
      else this._fail(error);
      this._timer = window.setTimeout(() => void this.refresh(), RETRY);
    }
    this._busy = false;
    if (!this._again) return;
    this._again = false;
    void this.refresh();
  }

  /**
   * Say what is wrong, until it is over.
   * @param {unknown} error
   */
  _fail(error) {
    this.store.fail(error);
    this._problem = this.store.data.error;
  }

  async _load() {
    const { store } = this;
    const status = await api.get("/api/status");
    store.put({ status });
    if (store.data.photos === null || store.data.photos.names.length !== status.photos) {
      const photos = await api.get("/api/photos").catch(later);
      if (photos) store.put({ photos });
      else if (status.phase === "starting") throw new api.ApiError(503, status.message);
    }
    if (status.phase !== "ready") return;
    if (status.run !== this._run) {
      this._run = status.run;
      store.maps.clear();
    }
    const [model, state] = await Promise.all([api.get("/api/model"), api.get("/api/state")]);
    store.putModel(model);
    store.putState(state);
    void store.counts.load().catch(() => store.counts.refresh());
    const [jobs, check] = await Promise.all(["/api/jobs", "/api/check"].map((one) => api.get(one).catch(later)));
    if (jobs) store.put({ jobs: Array.isArray(jobs) ? jobs : (jobs.jobs ?? []) });
    if (check) store.put({ check });
    await this._adopt(status.run ?? status.folder);
  }

  /**
   * Send what pages that are gone could not send.
   * @param {string} run
   */
  async _adopt(run) {
    const { outbox, means } = this.store;
    outbox.keepFor(run);
    if (means.storage === null) return;
    const left = await orphans(means.storage, run, isAlive);
    const sent = left.map(({ act, key }) => outbox.add(act, key));
    if (!left.length) return;
    const done = (await Promise.allSettled(sent)).filter((one) => one.status === "fulfilled");
    this.store.say(strings.status.sent(done.length));
  }

  /** Ask for the counts anew. Before the server is ready it has none, and they are asked for then. */
  _recount() {
    if (this.store.data.status?.phase === "ready") this.store.counts.refresh();
  }

  /**
   * @param {string} kind
   * @param {any} data
   */
  on(kind, data) {
    const { store } = this;
    switch (kind) {
      case "phase":
        void this.refresh();
        break;
      case "progress":
        store.put({ progress: data });
        if (this._unranked && (data.done - data.failed >= ENOUGH || data.done >= data.total)) void this._refetch();
        if (data.done + data.failed >= data.total) this._recount();
        break;
      case "photos":
        this._recount();
        break;
      case "state":
        if (data.page !== store.page) void this._refetch();
        break;
      case "head":
        store.putHead(data);
        if (data.state === "settled") {
          this._recount();
          void this._refetch();
        }
        break;
      case "job":
        store.putJob(data);
        break;
      case "check":
        store.put({ check: data });
        store.changed("check.news"); // for itself, since an older answer may take its place at once
        break;
    }
  }

  /** Whether the questions came before the server knew which clusters are large. */
  get _unranked() {
    return this.store.data.state?.questions.some((one) => one.share === null) ?? false;
  }

  async _refetch() {
    try {
      this.store.putState(await api.get("/api/state"));
    } catch (error) {
      this.store.fail(error);
    }
  }

  /** @param {boolean} open */
  connected(open) {
    if (open && this._opened) void this.refresh();
    if (open) this._opened = true;
    else void this._probe();
  }

  /** The events broke off: ask whether the server is still there. */
  async _probe() {
    try {
      await api.get("/api/status");
    } catch (error) {
      if (error instanceof api.Gone) this.store.setGone(true);
      else this._fail(error); // another start of the server: it says what to do
    }
  }
}

/**
 * What is not there yet is no error.
 * @param {unknown} error
 * @returns {null}
 */
function later(error) {
  if (error instanceof api.ApiError && (error.status === 503 || error.status === 404)) return null;
  throw error;
}

/**
 * Hold a lock that shows other pages that this one is open.
 * @param {string} page
 * @param {(release: () => void) => void} held
 */
function holdLock(page, held) {
  void navigator.locks?.request(`picie.page.${page}`, () => new Promise((resolve) => {
    held(() => resolve(undefined));
  }));
}

/**
 * @param {string} page
 * @returns {Promise<boolean>}
 */
async function isAlive(page) {
  if (!navigator.locks) return true;
  return navigator.locks.request(
    `picie.page.${page}`, { ifAvailable: true }, (lock) => Promise.resolve(lock === null),
  );
}

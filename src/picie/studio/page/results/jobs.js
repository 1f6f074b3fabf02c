/** Work that takes a while, as a list: how far it is, cancel, where the result lies. */

import { post, urls } from "../core/api.js";
import { button, el, fill, say } from "../core/dom.js";
import { strings } from "../core/strings.js";

/**
 * @typedef {import("../core/store.js").Store} Store
 * @typedef {import("../core/types.js").Job & {file?: string|null, seconds?: number}} Job
 */

const text = strings.jobs;

/**
 * Order something.
 * @param {Store} store
 * @param {Record<string, unknown>} wish
 */
export async function order(store, wish) {
  try {
    store.putJob(await post("/api/jobs", wish));
  } catch (error) {
    store.fail(error);
  }
}

/** Whether a job is still under way. @param {Job} job */
export const isOpen = (job) => ["waiting", "running"].includes(/** @type {string} */ (job.state));

/**
 * A list of jobs, newest first, that is kept up to date with `show`.
 * @param {Store} store
 */
export function jobList(store) {
  const list = el("ul", { class: "jobs" });
  /** @type {Map<string, ReturnType<typeof jobRow>>} */
  const rows = new Map();
  return {
    root: list,
    /** @param {readonly Job[]} jobs */
    show(jobs) {
      list.hidden = jobs.length === 0;
      for (const [id, row] of rows) {
        if (jobs.some((job) => job.id === id)) continue;
        row.root.remove();
        rows.delete(id);
      }
      for (const job of [...jobs].sort((a, b) => Number(a.id) - Number(b.id))) {
        let row = rows.get(job.id);
        if (row === undefined) {
          row = jobRow(store);
          rows.set(job.id, row);
          list.prepend(row.root);
        }
        row.show(job);
      }
    },
  };
}

/** @param {Store} store */
function jobRow(store) {
  const label = el("b", {});
  const state = el("span", { class: "job-state", role: "status" });
  const bar = el("progress", {});
  const message = el("p", { class: "quiet job-message" });
  const result = el("p", { class: "job-result" });
  const end = el("span", {});
  const root = el("li", { class: "job" }, el("p", { class: "job-head" }, label, state, end), bar, message, result);
  let key = "";
  return {
    root,
    /** @param {Job} job */
    show(job) {
      say(label, job.label);
      say(state, text.states[/** @type {keyof typeof text.states} */ (job.state)] ?? job.state);
      root.dataset.state = job.state;
      bar.hidden = !isOpen(job);
      bar.setAttribute("aria-label", job.label);
      if (job.total > 0) {
        bar.max = job.total;
        bar.value = job.done;
      } else bar.removeAttribute("value");
      say(message, job.message);
      message.hidden = !job.message;
      const now = `${job.state} ${job.out}`;
      if (now === key) return;
      key = now;
      fill(end, isOpen(job) && button(text.cancel, () => cancel(store, job.id), { class: "quiet-button" }));
      fill(result, ...resultOf(store, job));
    },
  };
}

/**
 * @param {Store} store
 * @param {Job} job
 * @returns {(Node|null)[]}
 */
function resultOf(store, job) {
  if (job.state !== "done") return job.command ? [copyButton(store, text.copyCommand, job.command)] : [];
  const { out } = job;
  return [
    out === null ? null : el("code", {}, out),
    out === null ? null : copyButton(store, text.copyPath, out),
    job.file ? el("a", { class: "button", href: urls.jobFile(job.id), download: job.file }, text.download) : null,
    job.command ? copyButton(store, text.copyCommand, job.command) : null,
  ];
}

/**
 * @param {Store} store
 * @param {string} label
 * @param {string} content
 */
export function copyButton(store, label, content) {
  return button(label, () => {
    navigator.clipboard.writeText(content).then(
      () => store.say(text.copied),
      () => store.fail(text.notCopied(content)),
    );
  }, { class: "quiet-button" });
}

/**
 * @param {Store} store
 * @param {string} id
 */
export async function cancel(store, id) {
  try {
    store.putJob(await post(`/api/jobs/${encodeURIComponent(id)}/cancel`));
  } catch (error) {
    store.fail(error);
  }
}

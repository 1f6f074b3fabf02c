/** What the answers of a check say so far: accuracy with its interval, classes, what is wrong. */

import { el } from "../core/dom.js";
import { percent, whole } from "../results/numbers.js";
import { strings } from "../core/strings.js";
import { closeness, precisionRows, wrongRows } from "./verdict.js";

/** @typedef {import("./verdict.js").AuditResult} AuditResult */

const text = strings.check;
const MUCH = 20; // per cent of the pixels without a class, from which the accuracy says too little

/**
 * @param {AuditResult} result
 * @param {number} target  half-width in points at which the check ends
 * @param {(name: string) => string} colourOf
 * @returns {(Node|null|false)[]}
 */
export function resultOf(result, target, colourOf) {
  const { accuracy, answered } = result;
  const value = accuracy.value === null ? "–" : percent(accuracy.value / 100);
  return [
    el("h3", {}, text.accuracy),
    el("p", { class: "check-value number" }, value),
    answered > 0 && intervalBar(accuracy.value, accuracy.interval),
    el("p", { class: "number", "aria-live": "polite" },
      answered ? text.interval(...accuracy.interval) : text.noAnswers),
    el("p", { class: "quiet" },
      `${text.answers(answered)} · ${text.about(whole(result.images), whole(result.images_of_folder))}`),
    answered > 0 && towards(accuracy, target),
    answered > 0 && classTable(result, colourOf),
    wrongTable(result, colourOf),
    result.without_class >= 0.05 &&
      el("p", { class: result.without_class >= MUCH ? "warning" : "quiet" },
        text.without(percent(result.without_class / 100))),
    answered > 0 && el("p", { class: "quiet" }, text.undo),
  ];
}

/**
 * @param {import("./verdict.js").Proportion} accuracy
 * @param {number} target
 */
function towards(accuracy, target) {
  const share = closeness(accuracy, target);
  return el(
    "div",
    { class: "towards" },
    el("progress", { max: 1, value: share, "aria-label": text.towards }),
    el("p", { class: "quiet" }, share >= 1 ? text.reached(target) : text.until(target)),
  );
}

/**
 * @param {AuditResult} result
 * @param {(name: string) => string} colourOf
 */
function classTable(result, colourOf) {
  return el(
    "table",
    { class: "check-classes" },
    el("caption", {}, text.perClass),
    headOf([text.class, text.rightShare, text.rangeColumn, text.checked]),
    el("tbody", {}, precisionRows(result).map((row) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" },
          el("i", { class: "swatch", style: { background: colourOf(row.title) } }), row.title),
        el("td", { class: "number" }, row.value === null ? "–" : percent(row.value / 100)),
        el("td", { class: "bar-cell" }, row.value !== null && intervalBar(row.value, [row.low, row.high])),
        el("td", { class: "number quiet" }, row.checks),
      ))),
  );
}

/**
 * @param {AuditResult} result
 * @param {(name: string) => string} colourOf
 */
function wrongTable(result, colourOf) {
  const rows = wrongRows(result);
  if (!rows.length) return null;
  const named = (/** @type {string} */ title) =>
    [el("i", { class: "swatch", style: { background: colourOf(title) } }), title];
  return el(
    "table",
    { class: "check-wrong" },
    el("caption", {}, text.wrongTitle),
    headOf([text.saidIs, text.reallyIs, text.times]),
    el("tbody", {}, rows.map((row) =>
      el(
        "tr",
        {},
        el("td", {}, named(row.predicted)),
        row.title ? el("td", {}, named(row.title)) : el("td", { class: "quiet" }, text.notSaid),
        el("td", { class: "number" }, row.count),
      ))),
  );
}

/** @param {readonly string[]} titles */
function headOf(titles) {
  return el("thead", {}, el("tr", {}, titles.map((one) => el("th", { scope: "col" }, one))));
}

/**
 * A rail from 0 to 100 with the interval and the value on it.
 * @param {number|null} value
 * @param {[number, number]} interval
 */
function intervalBar(value, [low, high]) {
  return el(
    "div",
    { class: "interval", role: "img", "aria-label": text.interval(low, high) },
    el("i", { class: "interval-range", style: { left: `${low}%`, width: `${high - low}%` } }),
    value !== null && el("i", { class: "interval-value", style: { left: `${value}%` } }),
  );
}

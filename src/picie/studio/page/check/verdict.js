/** What the answers of a check add up to, as places on a bar and rows of tables. Pure. */

/**
 * @typedef {Object} Proportion
 * @property {number|null} value  0..100
 * @property {[number, number]} interval
 * @property {number} checks
 *
 * @typedef {Object} AuditResult  as `picie audit --json` writes it
 * @property {Proportion} accuracy
 * @property {Record<string, Proportion>} precision
 * @property {Record<string, number>} share
 * @property {Record<string, Record<string, number>>} wrong
 * @property {number} answered
 * @property {number} checks
 * @property {number} images
 * @property {number} images_of_folder
 * @property {number} without_class
 */

/**
 * @typedef {Object} PrecisionRow
 * @property {string} title
 * @property {number|null} value
 * @property {number} low
 * @property {number} high
 * @property {number} checks
 * @property {number} share
 */

/**
 * One row for each class, the largest first.
 * @param {AuditResult} result
 * @returns {PrecisionRow[]}
 */
export function precisionRows(result) {
  return Object.entries(result.precision)
    .map(([title, { value, interval, checks }]) => ({
      title, value, low: interval[0], high: interval[1], checks, share: result.share[title] ?? 0,
    }))
    .sort((a, b) => b.share - a.share || a.title.localeCompare(b.title));
}

/**
 * What wrong pixels really were, most frequent first.
 * @param {AuditResult} result
 * @returns {{predicted: string, title: string, count: number}[]}  title "" = not said
 */
export function wrongRows(result) {
  return Object.entries(result.wrong)
    .flatMap(([predicted, found]) =>
      Object.entries(found).map(([title, count]) => ({ predicted, title, count })),
    )
    .filter((one) => one.count > 0)
    .sort((a, b) => b.count - a.count || a.predicted.localeCompare(b.predicted));
}

/**
 * How far the check is, 0..1: widths shrink with the root of the number of answers, so the share of
 * the answers that are needed is the square of the ratio.
 * @param {Proportion|undefined} accuracy
 * @param {number} target  half-width in points at which the check ends
 */
export function closeness(accuracy, target) {
  if (accuracy === undefined || !accuracy.checks) return 0;
  const half = (accuracy.interval[1] - accuracy.interval[0]) / 2;
  return half >= 50 ? 0 : Math.min(1, (target / half) ** 2);
}

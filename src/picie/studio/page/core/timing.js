/** Times of what a person waits for, as `performance` measures: picie:repaint, picie:glow, picie:maps. */

const MOST = 500; // measures kept
const LONGEST = 1000; // ms

/** @type {Map<string, number>} */
const begun = new Map();
let count = 0;

/**
 * What comes soon after counts as one; what never ended, because nothing was painted, is forgotten.
 * @param {string} name
 */
export function begin(name) {
  const now = performance.now();
  if (now - (begun.get(name) ?? -Infinity) > LONGEST) begun.set(name, now);
}

/**
 * End what was begun; nothing if it was not.
 * @param {string} name
 */
export function end(name) {
  const start = begun.get(name);
  if (start === undefined) return;
  begun.delete(name);
  performance.measure(name, { start, end: performance.now() });
  count += 1;
  if (count < MOST) return;
  count = 0;
  for (const one of ["picie:repaint", "picie:glow", "picie:maps"]) performance.clearMeasures(one);
}

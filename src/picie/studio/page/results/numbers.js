/** Numbers as a person reads them. Pure. */

/**
 * A share as text, as the report writes it.
 * @param {number} share  0..1
 */
export function percent(share) {
  if (!Number.isFinite(share)) return "–";
  return share >= 0.0005 || share === 0 ? `${(100 * share).toFixed(1)} %` : "< 0.1 %";
}

/** @param {number} value */
export const whole = (value) => Math.round(value).toLocaleString("en");

/**
 * A count with its noun.
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 */
export const counted = (count, one, many = `${one}s`) => `${whole(count)} ${count === 1 ? one : many}`;

/**
 * A time in the largest unit that says it.
 * @param {number} seconds
 */
export function duration(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return "–";
  if (seconds < 60) return counted(Math.round(seconds), "second");
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return counted(minutes, "minute");
  const hours = Math.floor(minutes / 60);
  const rest = minutes % 60;
  return rest ? `${counted(hours, "hour")} ${counted(rest, "minute")}` : counted(hours, "hour");
}

/**
 * How long training takes on two cores without a GPU, in seconds: measured on photos of 480 x 360.
 * Clustering looks at no more than 256 photos; each pass of training looks at all of them.
 * @param {number} photos
 * @param {"fast"|"best"} preset
 */
export function trainingSeconds(photos, preset) {
  const clustering = 12 + 0.055 * Math.min(photos, 256);
  const passes = preset === "best" ? 4 : 2;
  return clustering + passes * 0.1 * photos;
}

/**
 * The same as words; a range, because machines and photos differ.
 * @param {number} seconds
 */
export function expectation(seconds) {
  const minutes = seconds / 60;
  if (minutes < 1.5) return "1 to 2 minutes";
  const low = Math.max(1, Math.round(minutes * 0.8));
  const high = Math.max(low + 1, Math.round(minutes * 1.6));
  return high < 90 ? `${low} to ${high} minutes` : `${duration(low * 60)} to ${duration(high * 60)}`;
}

/** Shares of classes, from the counts of leaves in every photo. Pure. */

/** A photo counts as one that shows a class from this share of its pixels on. */
export const LEAST_SHARE = 0.001;

const WHOLE = 65535;

/**
 * @typedef {Object} Shares
 * @property {number} photos  number of photos counted so far
 * @property {Float64Array} mean  share of each group over all photos, 0..1
 * @property {Uint32Array} found  number of photos that show each group
 * @property {Float32Array} rows  (N, G) share of each group in each photo; NaN for one not counted
 */

/**
 * @param {Uint16Array} counts  (N, P), 65535 = the whole photo
 * @param {number} width  P
 * @param {readonly (readonly number[])[]} groups  leaves of each group
 * @returns {Shares}
 */
export function sharesOf(counts, width, groups) {
  const height = width > 0 ? Math.floor(counts.length / width) : 0;
  const mean = new Float64Array(groups.length);
  const found = new Uint32Array(groups.length);
  const rows = new Float32Array(height * groups.length);
  const place = groupOfLeaf(width, groups);
  let photos = 0;
  for (let photo = 0; photo < height; photo += 1) {
    const start = photo * width;
    const row = rows.subarray(photo * groups.length, (photo + 1) * groups.length);
    if (!isCounted(counts, start, width)) {
      row.fill(NaN);
      continue;
    }
    photos += 1;
    for (let leaf = 0; leaf < width; leaf += 1) {
      const group = place[leaf];
      if (group >= 0) row[group] += counts[start + leaf] / WHOLE;
    }
    for (let group = 0; group < groups.length; group += 1) {
      mean[group] += row[group];
      if (row[group] >= LEAST_SHARE) found[group] += 1;
    }
  }
  if (photos) for (let group = 0; group < groups.length; group += 1) mean[group] /= photos;
  return { photos, mean, found, rows };
}

/**
 * Whether a photo was processed: the row of one that was not is 65535 and then 65535 or 0 only, which
 * a real photo has at most once.
 * @param {Uint16Array} counts
 * @param {number} start
 * @param {number} width
 */
function isCounted(counts, start, width) {
  if (counts[start] !== WHOLE) return true;
  for (let leaf = 1; leaf < width; leaf += 1) {
    if (counts[start + leaf] === WHOLE) return false;
  }
  return true;
}

/**
 * @param {number} width
 * @param {readonly (readonly number[])[]} groups
 * @returns {Int32Array}  group of each leaf, -1 = in none
 */
function groupOfLeaf(width, groups) {
  const place = new Int32Array(width).fill(-1);
  groups.forEach((leaves, group) => {
    for (const leaf of leaves) if (leaf < width) place[leaf] = group;
  });
  return place;
}

/**
 * Order of photos by one column.
 * @param {Float32Array} rows  (N, G)
 * @param {number} columns  G
 * @param {number} column
 * @param {boolean} down  largest first; photos without a value are last either way
 * @returns {number[]}
 */
export function sortedBy(rows, columns, column, down) {
  const height = columns > 0 ? rows.length / columns : 0;
  const sign = down ? -1 : 1;
  return Array.from({ length: height }, (_, photo) => photo).sort((a, b) => {
    const first = rows[a * columns + column];
    const second = rows[b * columns + column];
    if (Number.isNaN(first) || Number.isNaN(second)) {
      return Number(Number.isNaN(first)) - Number(Number.isNaN(second)) || a - b;
    }
    return sign * (first - second) || a - b;
  });
}

/**
 * Shares of all photos as CSV (RFC 4180): one line a photo, shares in 0..1.
 * @param {readonly string[]} names
 * @param {readonly string[]} titles
 * @param {Float32Array} rows  (N, G)
 * @param {string} [first]  head of the first column
 * @returns {string}
 */
export function toCsv(names, titles, rows, first = "photo") {
  const lines = [[first, ...titles].map(field).join(",")];
  names.forEach((name, photo) => {
    const row = rows.subarray(photo * titles.length, (photo + 1) * titles.length);
    const values = Array.from(row, (value) => (Number.isNaN(value) ? "" : value.toFixed(5)));
    lines.push([field(name), ...values].join(","));
  });
  return `${lines.join("\r\n")}\r\n`;
}

/** @param {string} text */
function field(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The accepted mask of a photo, with what was drawn on it since, as a map and its table. */

import { request } from "../core/api.js";
import { rgbOf } from "../core/luts.js";

/**
 * @typedef {import("../core/types.js").LeafMap} LeafMap
 * @typedef {import("../core/types.js").Table} Table
 *
 * @typedef {Object} KeptMask
 * @property {LeafMap} map  its numbers are places in `titles`; the one beyond is no class
 * @property {string[]} titles
 */

/**
 * @param {number} id  of the photo
 * @returns {Promise<KeptMask|null>}  null = it was taken back meanwhile
 */
export async function keptMask(id) {
  const response = await request(`/api/accepted/${id}`);
  if (response.status === 204) return null;
  return read(id, new Uint8Array(await response.arrayBuffer()));
}

/**
 * @param {number} id
 * @param {Uint8Array} content  a line of JSON, then two bytes for each cell
 * @returns {KeptMask}
 */
export function read(id, content) {
  const end = content.indexOf(10);
  const { width, height, titles } = JSON.parse(new TextDecoder().decode(content.subarray(0, end)));
  const data = new Uint16Array(content.slice(end + 1).buffer, 0, width * height);
  return { map: { id, version: 0, w: width, h: height, data }, titles };
}

/**
 * How it is painted.
 * @param {readonly string[]} titles
 * @param {(title: string) => string} colourOf
 * @param {number} opacity  0..1
 * @returns {Table}
 */
export function tableOfKept(titles, colourOf, opacity) {
  const alpha = Math.round(255 * opacity);
  const colours = titles.flatMap((title) => [...rgbOf(colourOf(title)), title === "ignore" ? 0 : alpha]);
  return {
    keys: Uint16Array.from(titles, (_, place) => place),
    colours: new Uint8ClampedArray(colours),
    titles: [...titles],
    names: titles.map((title) => `name ${title}`),
    hot: new Uint8Array(titles.length),
  };
}

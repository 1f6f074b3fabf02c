/** The world outside of the store: server, storage, frames. */

import * as api from "./api.js";

/**
 * @typedef {Object} Means  the world outside, replaced in tests
 * @property {(callback: () => void) => void} frame  before the next repaint
 * @property {Storage|null} storage
 * @property {typeof api.get} get
 * @property {typeof api.post} post
 * @property {typeof api.maps} maps
 * @property {typeof api.bytes} bytes
 * @property {() => string} newKey
 */

/** @returns {Means} */
export function browser() {
  const newKey = () =>
    Array.from(crypto.getRandomValues(new Uint8Array(8)), (one) => one.toString(16).padStart(2, "0")).join("");
  return {
    frame: (callback) => void requestAnimationFrame(callback),
    storage: storageOf(),
    get: api.get, post: api.post, maps: api.maps, bytes: api.bytes, newKey,
  };
}

/** @returns {Storage|null} */
function storageOf() {
  try {
    return localStorage;
  } catch {
    return null; // forbidden by the browser's settings
  }
}

/** The server, as functions. Errors of the server are `ApiError`, a server that is gone is `Gone`. */

import { FrameReader } from "./frames.js";

/** @typedef {import("./types.js").LeafMap} LeafMap */

/** The server answered, and said no. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   */
  constructor(status, message) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

/** No answer: the server has stopped, or cannot be reached. */
export class Gone extends Error {
  constructor() {
    super("the server does not answer");
    this.name = "Gone";
  }
}

/** Addresses of pictures. */
export const urls = {
  thumb: (/** @type {number} */ id) => `/api/thumbs/${id}`,
  tile: (
    /** @type {number} */ id,
    /** @type {number} */ level,
    /** @type {number} */ x,
    /** @type {number} */ y,
  ) => `/api/tile/${id}/${level}/${x}/${y}`,
  jobFile: (/** @type {string} */ id) => `/api/jobs/${encodeURIComponent(id)}/file`,
};

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
export async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Gone();
  }
  if (response.ok) return response;
  throw new ApiError(response.status, await problemOf(response));
}

/**
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function get(path, signal) {
  return bodyOf(await request(path, { signal: signal ?? null }));
}

/**
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
export async function post(path, body = {}) {
  return bodyOf(
    await request(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    }),
  );
}

/**
 * @param {string} path
 * @returns {Promise<ArrayBuffer>}
 */
export async function bytes(path) {
  return (await request(path)).arrayBuffer();
}

/**
 * Leaf maps as the server computes them.
 * @param {readonly number[]} ids
 * @param {(map: LeafMap|null, id: number) => void} each  null = the photo cannot be read
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export async function maps(ids, each, signal) {
  const response = await request(`/api/maps?photos=${ids.join(",")}`, { signal: signal ?? null });
  const body = response.body?.getReader();
  if (body === undefined) return;
  const frames = new FrameReader();
  for (;;) {
    const { done, value } = await body.read();
    if (done) return;
    for (const { id, map } of frames.push(value)) each(map, id);
  }
}

/**
 * The map of a photo at its real boundaries, at most 2048 pixels wide and high.
 * @param {number} id
 * @param {AbortSignal} [signal]
 * @returns {Promise<LeafMap|null>}  null = the photo cannot be read
 */
export async function fine(id, signal) {
  const response = await request(`/api/fine/${id}`, { signal: signal ?? null });
  const content = new Uint8Array(await response.arrayBuffer());
  return new FrameReader().push(content)[0]?.map ?? null;
}

const HIDDEN = 60_000; // ms until a page that nobody sees gives up one of the few connections
const KINDS = ["phase", "progress", "photos", "state", "head", "job", "check"];

/**
 * Listen to what the server says. The browser connects again by itself; a page that is hidden for
 * long lets go, and connects again when it is seen.
 * @param {(kind: string, data: any) => void} on
 * @param {(open: boolean) => void} connected  told when the connection opens and when it breaks
 * @returns {() => void}
 */
export function events(on, connected) {
  /** @type {EventSource|null} */
  let source = null;
  let timer = 0;
  let hidden = 0;
  const start = () => {
    clearTimeout(timer);
    source = new EventSource("/api/events");
    source.onopen = () => connected(true);
    source.onerror = () => {
      connected(false);
      if (source?.readyState !== EventSource.CLOSED) return;
      clearTimeout(timer);
      timer = window.setTimeout(start, 2000);
    };
    for (const kind of KINDS) {
      source.addEventListener(kind, (event) => on(kind, JSON.parse(event.data)));
    }
  };
  const end = () => {
    clearTimeout(timer);
    source?.close();
    source = null;
  };
  const seen = () => {
    clearTimeout(hidden);
    if (document.hidden) hidden = window.setTimeout(end, HIDDEN);
    else if (source === null) start();
  };
  document.addEventListener("visibilitychange", seen);
  start();
  return () => {
    document.removeEventListener("visibilitychange", seen);
    clearTimeout(hidden);
    end();
  };
}

/** @param {Response} response */
async function bodyOf(response) {
  try {
    return await response.json();
  } catch {
    throw new ApiError(response.status, `unreadable answer of ${new URL(response.url).pathname}`);
  }
}

/** @param {Response} response */
async function problemOf(response) {
  try {
    const { error } = await response.json();
    if (typeof error === "string") return error;
  } catch {
    // no JSON: the status has to do
  }
  return `${response.status} ${response.statusText}`.trim();
}

/** The command that starts this studio again. Pure. */

/** @typedef {import("./types.js").Status} Status */

/**
 * The same photos, run and port: only a page of the same port can send what it has kept.
 * @param {Status|null} status
 * @param {string} port  of the page
 */
export function commandOf(status, port) {
  const [run, folder] = [quoted(status?.run ?? ""), quoted(status?.folder ?? "")];
  const trains = status?.phase === "setup" || status?.phase === "training";
  const places = trains ? `${folder} --out ${run}` : `${run} ${folder}`;
  return `picie studio ${places} --port ${port}`.replace(/ +/g, " ");
}

/** @param {string} path */
function quoted(path) {
  return /^[\w./:\\~+-]*$/.test(path) ? path : `"${path}"`;
}

/** Leaf maps as bytes: a head of 16 bytes, little endian, then the cells row by row. Pure. */

/** @typedef {import("./types.js").LeafMap} LeafMap */

const HEAD = 16;

/** Takes bytes as they come and gives the frames that are complete. */
export class FrameReader {
  constructor() {
    /** @type {Uint8Array} */
    this._kept = new Uint8Array(0);
  }

  /**
   * @param {Uint8Array} chunk
   * @returns {{id: number, map: LeafMap|null}[]}  null = the photo cannot be read
   */
  push(chunk) {
    let bytes = chunk;
    if (this._kept.length) {
      bytes = new Uint8Array(this._kept.length + chunk.length);
      bytes.set(this._kept);
      bytes.set(chunk, this._kept.length);
    }
    const found = [];
    let start = 0;
    while (bytes.length - start >= HEAD) {
      const head = new DataView(bytes.buffer, bytes.byteOffset + start, HEAD);
      const [w, h, size] = [head.getUint16(8, true), head.getUint16(10, true), head.getUint8(12)];
      const end = start + HEAD + w * h * size;
      if (end > bytes.length) break;
      found.push(frameOf(head, bytes.slice(start + HEAD, end)));
      start = end;
    }
    this._kept = bytes.slice(start);
    return found;
  }
}

/**
 * @param {DataView} head
 * @param {Uint8Array} cells  with a buffer of its own
 * @returns {{id: number, map: LeafMap|null}}
 */
function frameOf(head, cells) {
  const id = head.getUint32(0, true);
  if (head.getUint8(13) === 0) return { id, map: null };
  const version = head.getUint32(4, true);
  const [w, h] = [head.getUint16(8, true), head.getUint16(10, true)];
  const data = head.getUint8(12) === 2 ? new Uint16Array(cells.buffer) : cells;
  return { id, map: { id, version, w, h, data } };
}

import assert from "node:assert/strict";
import test from "node:test";

import { FrameReader } from "../../../src/picie/studio/page/core/frames.js";

function frame(id, version, w, h, cells, ok = 1) {
  const size = cells.BYTES_PER_ELEMENT;
  const bytes = new Uint8Array(16 + w * h * size);
  const head = new DataView(bytes.buffer);
  head.setUint32(0, id, true);
  head.setUint32(4, version, true);
  head.setUint16(8, w, true);
  head.setUint16(10, h, true);
  head.setUint8(12, size);
  head.setUint8(13, ok);
  bytes.set(new Uint8Array(cells.buffer), 16);
  return bytes;
}

const frames = [
  frame(3, 2, 2, 2, new Uint8Array([1, 2, 3, 4])),
  frame(7, 2, 0, 0, new Uint8Array(0), 0),
  frame(70000, 5, 1, 3, new Uint16Array([300, 2, 65535])),
];
const bytes = Uint8Array.from(frames.flatMap((one) => [...one]));
const expected = [
  { id: 3, map: { id: 3, version: 2, w: 2, h: 2, data: new Uint8Array([1, 2, 3, 4]) } },
  { id: 7, map: null },
  { id: 70000, map: { id: 70000, version: 5, w: 1, h: 3, data: new Uint16Array([300, 2, 65535]) } },
];

test("frames are read however the bytes are cut", () => {
  for (const step of [1, 3, 16, 17, 19, 1000]) {
    const reader = new FrameReader();
    const found = [];
    for (let at = 0; at < bytes.length; at += step) found.push(...reader.push(bytes.slice(at, at + step)));
    assert.deepEqual(found, expected, `in steps of ${step}`);
  }
});

test("half a frame is none", () => {
  assert.deepEqual(new FrameReader().push(bytes.slice(0, 18)), []);
});

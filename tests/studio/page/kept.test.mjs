import assert from "node:assert/strict";
import { test } from "node:test";

import { read, tableOfKept } from "../../../src/picie/studio/page/photo/kept.js";

test("an accepted mask is a line of JSON and its cells", () => {
  const line = new TextEncoder().encode('{"width": 2, "height": 1, "titles": ["sky", "Straße"]}\n');
  const content = new Uint8Array([...line, 1, 0, 255, 255]);
  const { map, titles } = read(7, content);
  assert.deepEqual(titles, ["sky", "Straße"]);
  assert.deepEqual([map.id, map.w, map.h, ...map.data], [7, 2, 1, 1, 65535]);
});

test("what is ignored is not painted", () => {
  const table = tableOfKept(["sky", "ignore"], () => "#102030", 0.5);
  assert.deepEqual([...table.keys], [0, 1]);
  assert.deepEqual([...table.colours], [16, 32, 48, 128, 16, 32, 48, 0]);
});

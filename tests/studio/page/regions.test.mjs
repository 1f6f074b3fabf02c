import assert from "node:assert/strict";
import { test } from "node:test";

import {
  MOST_POINTS,
  enlarged,
  floodFill,
  halved,
  keysOf,
  patched,
  pointsOf,
  ringsInPhoto,
  shareChanged,
  traceRings,
} from "../../../src/picie/studio/page/photo/regions.js";

/** A map of the digits of its rows. */
function mapOf(...rows) {
  const data = Uint8Array.from(rows.join(""), Number);
  return { w: rows[0].length, h: rows.length, data };
}

/** Leaf = key, unless told. */
const SAME = Uint16Array.from({ length: 256 }, (_, leaf) => leaf);

/** The cells whose centre is inside rings, by the even-odd rule, counted on their own. */
function rasterised(rings, width, height, scale = [1, 1]) {
  const inside = new Uint8Array(width * height);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const [cx, cy] = [(x + 0.5) * scale[0], (y + 0.5) * scale[1]];
      let crossings = 0;
      for (const ring of rings) {
        ring.forEach(([ax, ay], index) => {
          const [bx, by] = ring[(index + 1) % ring.length];
          if (ay > cy === by > cy) return;
          if (ax + ((cy - ay) / (by - ay)) * (bx - ax) > cx) crossings += 1;
        });
      }
      inside[y * width + x] = crossings % 2;
    }
  }
  return inside;
}

/** Numbers that look like chance and are the same each time. */
function draws(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function area(ring) {
  return ring.reduce((sum, [x, y], index) => {
    const [nx, ny] = ring[(index + 1) % ring.length];
    return sum + (x * ny - nx * y) / 2;
  }, 0);
}

test("a region holds what hangs together by its sides", () => {
  const region = floodFill(mapOf("1101", "0101", "0111", "1000"), SAME, 0, 0);
  assert.equal(region.count, 8);
  assert.deepEqual([...region.inside], [1, 1, 0, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 0, 0, 0]);
  assert.deepEqual([region.left, region.top, region.right, region.bottom], [0, 0, 4, 3]);
});

test("leaves of one class are one region", () => {
  const keys = Uint16Array.from([0, 1, 1, 2]);
  assert.equal(floodFill(mapOf("0123", "0213"), keys, 1, 0).count, 4);
});

test("a place outside the map has no region and no ring", () => {
  const region = floodFill(mapOf("11"), SAME, 2, 0);
  assert.equal(region.count, 0);
  assert.deepEqual(traceRings(region), []);
});

test("one cell has four corners", () => {
  const rings = traceRings(floodFill(mapOf("000", "010", "000"), SAME, 1, 1));
  assert.deepEqual(rings, [
    [
      [2, 1],
      [2, 2],
      [1, 2],
      [1, 1],
    ],
  ]);
});

test("points in a line are merged", () => {
  const rings = traceRings(floodFill(mapOf("1111", "1111"), SAME, 3, 1));
  assert.equal(pointsOf(rings), 4);
});

test("a hole is a ring of its own, the other way round", () => {
  const rings = traceRings(floodFill(mapOf("1111", "1001", "1111"), SAME, 0, 0));
  assert.deepEqual(rings.map(area).sort((a, b) => a - b), [-2, 12]);
});

test("a hole that touches the outside by a corner stays a hole", () => {
  const map = mapOf("0111", "1011", "1111");
  const region = floodFill(map, SAME, 3, 0);
  const rings = traceRings(region);
  assert.deepEqual(rasterised(rings, 4, 3), region.inside);
});

test("regions that touch by a corner alone are two", () => {
  const region = floodFill(mapOf("10", "01"), SAME, 0, 0);
  assert.equal(region.count, 1);
  assert.deepEqual(rasterised(traceRings(region), 2, 2), Uint8Array.of(1, 0, 0, 0));
});

test("rings filled by the even-odd rule give the region back", () => {
  const draw = draws(3);
  for (let round = 0; round < 60; round += 1) {
    const [width, height] = [2 + Math.floor(draw() * 20), 1 + Math.floor(draw() * 16)];
    const data = Uint8Array.from({ length: width * height }, () => (draw() < 0.62 ? 1 : 0));
    const place = Math.floor(draw() * data.length);
    const region = floodFill(
      { w: width, h: height, data },
      SAME,
      place % width,
      Math.floor(place / width),
    );
    const rings = traceRings(region);
    assert.deepEqual(rasterised(rings, width, height), region.inside);
    assert.equal(rings.map(area).reduce((sum, value) => sum + value, 0), region.count);
    const cells = region.inside.reduce((sum, value) => sum + value, 0);
    assert.equal(cells, region.count);
  }
});

test("every point is a corner", () => {
  const draw = draws(9);
  const data = Uint8Array.from({ length: 900 }, () => (draw() < 0.7 ? 1 : 0));
  const region = floodFill({ w: 30, h: 30, data }, SAME, 15, 15);
  for (const ring of traceRings(region)) {
    ring.forEach(([x, y], index) => {
      const [px, py] = ring[(index + ring.length - 1) % ring.length];
      const [nx, ny] = ring[(index + 1) % ring.length];
      assert.notEqual(px === x, nx === x);
      assert.notEqual(py === y, ny === y);
    });
  }
});

test("rings in the photo are scaled, and keep to it", () => {
  const region = floodFill(mapOf("11", "11", "11"), SAME, 0, 0);
  const rings = ringsInPhoto(region, { width: 481, height: 361 });
  assert.deepEqual(rings[0].slice().sort(), [[0, 0], [0, 361], [481, 0], [481, 361]].sort());
});

test("a third of a pixel is rounded to tenths", () => {
  const region = floodFill(mapOf("100"), SAME, 0, 0);
  assert.deepEqual(ringsInPhoto(region, { width: 10, height: 10 })[0][0], [3.3, 0]);
});

test("half the cells decide where a region is drawn coarser", () => {
  const half = halved(floodFill(mapOf("1110", "1100", "1000"), SAME, 0, 0));
  assert.deepEqual([half.width, half.height], [2, 2]);
  assert.deepEqual([...half.inside], [1, 0, 0, 0]);
  const thin = halved(floodFill(mapOf("100", "000"), SAME, 0, 0));
  assert.deepEqual([...thin.inside], [1, 0]); // a small one does not vanish
});

test("a ragged region stays below the most points, and about as large", () => {
  const [width, height] = [1400, 1000];
  const data = new Uint8Array(width * height).fill(1);
  for (let y = 1; y < height - 1; y += 2) for (let x = 1; x < width - 1; x += 2) data[y * width + x] = 0;
  const region = floodFill({ w: width, h: height, data }, SAME, 0, 0);
  assert.ok(pointsOf(traceRings(region)) > MOST_POINTS);
  const rings = ringsInPhoto(region, { width: 2800, height: 2000 });
  assert.ok(pointsOf(rings) <= MOST_POINTS);
  assert.ok(rings.flat().every(([x, y]) => x >= 0 && y >= 0 && x <= 2800 && y <= 2000));
  const total = rings.map(area).reduce((sum, value) => sum + value, 0);
  assert.ok(total >= 2800 * 2000 * 0.74, `${total}`);
});

test("a large region is found and traced in a moment", () => {
  const [width, height] = [2048, 1536];
  const data = new Uint8Array(width * height).fill(1);
  const began = performance.now();
  const region = floodFill({ w: width, h: height, data }, SAME, 1000, 700);
  assert.equal(pointsOf(traceRings(region)), 4);
  assert.equal(region.count, width * height);
  assert.ok(performance.now() - began < 1000);
});

test("a fine map keeps what the coarse map did not change", () => {
  const fine = mapOf("11172222", "11122222");
  const [before, after] = [mapOf("12"), mapOf("15")].map((map) => enlarged(map, fine));
  assert.deepEqual([...before], [...mapOf("11112222", "11112222").data]);
  assert.deepEqual([...patched(fine, before, after)], [...mapOf("11175555", "11125555").data]);
});

test("a fine map can take leaves of two bytes", () => {
  const before = enlarged(mapOf("1"), { w: 2, h: 1 });
  const after = enlarged({ w: 1, h: 1, data: Uint16Array.of(300) }, { w: 2, h: 1 });
  assert.deepEqual([...patched(mapOf("11"), before, after)], [300, 300]);
});

test("only another class is a change", () => {
  const groups = [
    { key: "name road", leaves: [1, 2] },
    { key: "node 3", leaves: [3] },
    { key: "node 0", leaves: [0] },
  ];
  const numbers = new Map();
  const keys = keysOf(groups, 4, numbers);
  assert.deepEqual([...keys], [2, 0, 0, 1]);
  assert.equal(shareChanged(mapOf("0123"), mapOf("0213"), keys, keys), 0);
  assert.equal(shareChanged(mapOf("0123"), mapOf("0333"), keys, keys), 0.5);
  assert.equal(shareChanged(mapOf("01"), mapOf("011"), keys, keys), 0); // cannot be compared
  const merged = keysOf([{ key: "name road", leaves: [1, 2, 3] }, groups[2]], 4, numbers);
  assert.equal(shareChanged(mapOf("0123"), mapOf("0123"), keys, merged), 0.25);
});

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  MOST_SCALE,
  bounded,
  fitted,
  following,
  levelFor,
  panned,
  pinched,
  resized,
  tilesIn,
  toPhoto,
  toScreen,
  zoomedAt,
} from "../../../src/picie/studio/page/photo/view_transform.js";

const PHOTO = { width: 4000, height: 3000 };
const PANE = { width: 1000, height: 600 };

/** Equal but for rounding. */
function near(found, wanted) {
  found.forEach((value, index) => {
    assert.ok(Math.abs(value - wanted[index]) < 1e-6, `${found} is not ${wanted}`);
  });
}

test("the whole photo is centred", () => {
  const view = fitted(PHOTO, PANE);
  assert.equal(view.scale, 0.2);
  near(toScreen(view, [0, 0]), [100, 0]);
  near(toScreen(view, [4000, 3000]), [900, 600]);
});

test("a place on screen goes to the photo and back", () => {
  const view = { scale: 1.7, x: 321.5, y: -20 };
  near(toScreen(view, toPhoto(view, [17, 400])), [17, 400]);
  near(toPhoto(view, toScreen(view, [12, 2999])), [12, 2999]);
});

test("zoom keeps what is under the pointer", () => {
  let view = fitted(PHOTO, PANE);
  const place = [640, 200];
  const under = toPhoto(view, place);
  for (let step = 0; step < 12; step += 1) {
    view = zoomedAt(view, 1.25, place, PHOTO, PANE);
    near(toPhoto(view, place), under);
  }
  for (let step = 0; step < 11; step += 1) view = zoomedAt(view, 0.8, place, PHOTO, PANE);
  near(toPhoto(view, place), under);
});

test("zoom ends at its limits, and the place stays", () => {
  const place = [400, 300];
  const under = toPhoto(fitted(PHOTO, PANE), place);
  const near_ = zoomedAt(fitted(PHOTO, PANE), 1e6, place, PHOTO, PANE);
  assert.equal(near_.scale, MOST_SCALE);
  near(toPhoto(near_, place), under);
  near(Object.values(zoomedAt(near_, 1e-9, place, PHOTO, PANE)), Object.values(fitted(PHOTO, PANE)));
});

test("a small photo may be seen at 1:1", () => {
  const small = { width: 200, height: 100 };
  assert.equal(fitted(small, PANE).scale, 5);
  assert.equal(bounded({ scale: 0.1, x: 0, y: 0 }, small, PANE).scale, 1);
});

test("a photo never leaves the pane", () => {
  let view = zoomedAt(fitted(PHOTO, PANE), 4, [500, 300], PHOTO, PANE);
  view = panned(view, 1e6, 1e6, PHOTO, PANE);
  near(toScreen(view, [0, 0]), [500, 300]); // the corner, in the middle
  view = panned(view, -1e6, -1e6, PHOTO, PANE);
  near(toScreen(view, [4000, 3000]), [500, 300]);
});

test("panning back and forth ends where it began", () => {
  const view = zoomedAt(fitted(PHOTO, PANE), 3, [500, 300], PHOTO, PANE);
  const there = panned(view, 30, -40, PHOTO, PANE);
  near(Object.values(panned(there, -30, 40, PHOTO, PANE)), Object.values(view));
});

test("two fingers hold what is under them", () => {
  const view = zoomedAt(fitted(PHOTO, PANE), 3, [500, 300], PHOTO, PANE);
  const before = [
    [400, 250],
    [600, 350],
  ];
  const after = [
    [360, 260],
    [660, 410],
  ];
  const pinch = pinched(view, before, after, PHOTO, PANE);
  near([pinch.scale], [view.scale * 1.5]);
  near(toPhoto(pinch, after[0]), toPhoto(view, before[0]));
  near(toPhoto(pinch, after[1]), toPhoto(view, before[1]));
});

test("the view follows a place that leaves it", () => {
  const view = zoomedAt(fitted(PHOTO, PANE), 4, [500, 300], PHOTO, PANE);
  assert.equal(following(view, toPhoto(view, [500, 300]), PHOTO, PANE), view);
  const place = toPhoto(view, [1010, 20]);
  near(toScreen(following(view, place, PHOTO, PANE), place), [960, 40]);
});

test("another size of the pane keeps the middle, or the whole photo", () => {
  const smaller = { width: 500, height: 600 };
  assert.deepEqual(resized(fitted(PHOTO, PANE), PANE, smaller, PHOTO), fitted(PHOTO, smaller));
  const view = zoomedAt(fitted(PHOTO, PANE), 5, [500, 300], PHOTO, PANE);
  const middle = toPhoto(view, [500, 300]);
  near(toPhoto(resized(view, PANE, smaller, PHOTO), [250, 300]), middle);
});

test("the level is just fine enough", () => {
  assert.equal(levelFor(1, 4), 0);
  assert.equal(levelFor(0.51, 4), 0);
  assert.equal(levelFor(0.5, 4), 1);
  assert.equal(levelFor(0.2, 4), 2);
  assert.equal(levelFor(0.001, 4), 3);
  assert.equal(levelFor(8, 4), 0);
});

test("only tiles that are seen are wanted, the middle ones first", () => {
  const tiled = { ...PHOTO, tile: 512, levels: 4 };
  assert.equal(tilesIn(fitted(PHOTO, PANE), tiled, PANE, 0).length, 8 * 6);
  assert.equal(tilesIn(fitted(PHOTO, PANE), tiled, PANE, 3).length, 1);
  const view = { scale: 1, x: 1100, y: 1100 };
  const tiles = tilesIn(view, tiled, PANE, 0);
  assert.deepEqual(
    tiles.map(({ x, y }) => `${x},${y}`).sort(),
    ["2,2", "2,3", "3,2", "3,3", "4,2", "4,3"],
  );
  assert.equal(tiles[0].x, 3);
  const [corner] = tilesIn({ scale: 4, x: 3900, y: 2900 }, tiled, PANE, 0);
  assert.deepEqual([corner.right, corner.bottom], [4000, 3000]);
  assert.deepEqual(tilesIn({ scale: 4, x: -900, y: -900 }, tiled, PANE, 0), []);
});

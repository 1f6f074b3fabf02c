import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Queue, sampleOf } from "../../../src/picie/studio/page/photo/queue.js";

/** @type {string[]} */
let asked = [];
/** @type {number[][]} */
let answers = [];

beforeEach(() => {
  asked = [];
  answers = [];
  globalThis.fetch = async (path) => {
    asked.push(String(path));
    return new Response(JSON.stringify({ photos: answers.shift() ?? [] }));
  };
});

test("the next photo is asked for once, and one can go back", async () => {
  const queue = new Queue();
  answers = [[4, 7, 9]];
  assert.equal(await queue.next(null), 4);
  assert.equal(await queue.next(4), 7);
  assert.equal(queue.back(7), 4);
  assert.equal(await queue.next(4), 7);
  assert.equal(await queue.next(7), 9);
  assert.deepEqual(asked, ["/api/queue?count=5"]);
  assert.equal(queue.back(9), 7);
  assert.equal(queue.back(7), 4);
  assert.equal(queue.back(4), null);
});

test("at the end there is no next photo, and nothing is lost", async () => {
  const queue = new Queue();
  answers = [[4], []];
  assert.equal(await queue.next(null), 4);
  assert.equal(await queue.next(4), null);
  assert.equal(queue.back(4), null);
});

test("the photo that is open does not come again", async () => {
  const queue = new Queue();
  answers = [[4, 5]];
  await queue.ask(4);
  assert.deepEqual(queue.ahead, [5]);
  assert.deepEqual(asked, ["/api/queue?count=5&after=4"]);
});

test("photos in view come first, the others are spread over the folder", () => {
  assert.deepEqual(sampleOf([7, 3], 40, 6), [7, 3, 10, 16, 23, 30]);
  assert.deepEqual(sampleOf([], 3, 6), [0, 1, 2]);
  assert.equal(sampleOf([1, 2, 3], 1000).length, 24);
  assert.deepEqual(sampleOf([], 0), []);
});

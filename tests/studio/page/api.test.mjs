import assert from "node:assert/strict";
import test from "node:test";

import { events } from "../../../src/picie/studio/page/core/api.js";

test("a page that is hidden for long lets its connection go, until it is seen again", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const sources = [];
  globalThis.EventSource = class extends EventTarget {
    constructor() {
      super();
      sources.push(this);
      this.closed = false;
    }

    close() {
      this.closed = true;
    }
  };
  globalThis.window = globalThis;
  globalThis.document = Object.assign(new EventTarget(), { hidden: false });
  const look = (hidden) => {
    document.hidden = hidden;
    document.dispatchEvent(new Event("visibilitychange"));
  };
  let opened = 0;
  const stop = events(() => {}, (open) => (opened += Number(open)));
  sources[0].onopen();
  look(true);
  t.mock.timers.tick(30_000);
  look(false);
  t.mock.timers.tick(120_000);
  assert.equal(sources[0].closed, false);
  look(true);
  t.mock.timers.tick(60_000);
  assert.equal(sources[0].closed, true);
  look(false);
  assert.equal(sources.length, 2);
  sources[1].onopen();
  assert.equal(opened, 2);
  stop();
  assert.equal(sources[1].closed, true);
  look(false);
  assert.equal(sources.length, 2);
});

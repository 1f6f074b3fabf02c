import assert from "node:assert/strict";
import test from "node:test";

import { Keys, mayFire, nameOf } from "../../../src/picie/studio/page/core/keys.js";

const press = (key, more = {}) => ({
  key, shiftKey: false, ctrlKey: false, metaKey: false, altKey: false, code: key, repeat: false,
  defaultPrevented: false, isComposing: false, target: null, preventDefault() {}, ...more,
});

test("names of keys", () => {
  assert.equal(nameOf(press(" ")), "Space");
  assert.equal(nameOf(press("U", { shiftKey: true })), "Shift+u");
  assert.equal(nameOf(press("u")), "u");
  assert.equal(nameOf(press("?", { shiftKey: true })), "?");
  assert.equal(nameOf(press("z", { metaKey: true })), "Ctrl+z");
  assert.equal(nameOf(press("Tab", { shiftKey: true })), "Shift+Tab");
});

test("keys of the tab come before those of all, later ones before earlier ones", () => {
  const keys = new Keys();
  const said = [];
  keys.scope = () => "photos";
  keys.add("*", "a", "", () => void said.push("all"));
  keys.add("check", "a", "", () => void said.push("check"));
  const off = keys.add("photos", "a", "", () => void said.push("first"));
  keys.add("photos", "a", "", () => (said.push("second"), false));
  keys._down(press("a"));
  assert.deepEqual(said, ["second", "first"]);
  off();
  keys._down(press("a"));
  assert.deepEqual(said.slice(2), ["second", "all"]);
});

test("a held key is released once", () => {
  const keys = new Keys();
  const said = [];
  keys.add("*", "h", "", () => void said.push("down"), () => said.push("up"));
  keys._down(press("h"));
  keys._down(press("h", { repeat: true }));
  keys._up(press("h"));
  keys._up(press("h"));
  assert.deepEqual(said, ["down", "up"]);
});

test("the list has one row for each thing that keys do", () => {
  const keys = new Keys();
  keys.add("*", "u", "Undo", () => {});
  keys.add("*", "Ctrl+z", "Undo", () => {});
  keys.add("photos", "b", "Brush", () => {});
  keys.add("check", "r", "Right", () => {});
  keys.add("*", "q", "", () => {});
  assert.deepEqual(keys.listed("photos"), [
    { label: "Brush", keys: ["b"] }, { label: "Undo", keys: ["u", "Ctrl+z"] },
  ]);
});

test("in fields only Enter and Escape fire, and controls keep their own keys", () => {
  globalThis.Element = class {
    constructor(...kinds) {
      this.kinds = kinds;
    }
    closest() {
      return this.kinds.includes("dialog") ? this : null;
    }
    matches(selector) {
      return this.kinds.some((kind) => selector.split(", ").some((one) => one.startsWith(kind)));
    }
  };
  const [field, button] = [new Element("textarea"), new Element("button")];
  assert.equal(mayFire("u", field), false);
  assert.equal(mayFire("Escape", field), true);
  assert.equal(mayFire("Space", button), false);
  assert.equal(mayFire("u", button), true);
  assert.equal(mayFire("Space", null), true);
  assert.equal(mayFire("Escape", new Element("dialog")), false);
  delete globalThis.Element;
});

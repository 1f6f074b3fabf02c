/** Keys of the page: one place knows them all, so that `?` can list them. */

/**
 * @typedef {Object} Binding
 * @property {string} scope  a tab, or "*" for all
 * @property {string} key  as `nameOf` writes it: "n", "Shift+u", "Enter", "Space", "?", "["
 * @property {string} label  what it does, for the list; "" leaves it out
 * @property {(event: KeyboardEvent) => void|boolean} act  false = not handled after all
 * @property {((event: KeyboardEvent) => void)|null} release  for keys that act while they are held
 */

/** Keys whose meaning belongs to the element that has the focus, if it can be operated. */
const OPERATES = new Set(["Enter", "Space", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]);
const FIELDS = "input:not([type=range]):not([type=checkbox]):not([type=radio]):not([type=button])" +
  ":not([type=color]), textarea, select, [contenteditable=true]";
const CONTROLS = "a[href], button, summary, input, select, textarea, [role=tab], [role=slider], " +
  "[role=option], [role=menuitem], [data-keys=own]";

/**
 * The name of the key of an event. Shift counts for letters and named keys, not for signs, which
 * already differ; Ctrl and Cmd are one.
 * @param {{key: string, shiftKey: boolean, ctrlKey: boolean, metaKey: boolean, altKey: boolean}} event
 * @returns {string}
 */
export function nameOf(event) {
  const key = event.key === " " ? "Space" : event.key;
  const letter = key.length === 1 && key.toLowerCase() !== key.toUpperCase();
  const shift = event.shiftKey && (letter || key.length > 1) ? "Shift+" : "";
  const control = event.ctrlKey || event.metaKey ? "Ctrl+" : "";
  return `${control}${event.altKey ? "Alt+" : ""}${shift}${letter ? key.toLowerCase() : key}`;
}

export class Keys {
  constructor() {
    /** @type {Binding[]} */
    this.bindings = [];
    /** @type {() => string} */
    this.scope = () => "*";
    /** @type {Map<string, Binding>} */
    this._held = new Map();
  }

  /**
   * Bind a key. The last binding of a key is asked first, and those of a tab before those of all.
   * @param {string} scope  a tab, or "*"
   * @param {string} key
   * @param {string} label  for the list of keys; "" leaves it out
   * @param {(event: KeyboardEvent) => void|boolean} act  return false to let others have it
   * @param {(event: KeyboardEvent) => void} [release]  when the key is let go
   * @returns {() => void}  unbinds it
   */
  add(scope, key, label, act, release) {
    const binding = { scope, key, label, act, release: release ?? null };
    this.bindings.push(binding);
    return () => {
      this.bindings = this.bindings.filter((one) => one !== binding);
    };
  }

  /**
   * What a key does now, first choice first.
   * @param {string} key
   * @returns {Binding[]}
   */
  bound(key) {
    const scope = this.scope();
    const found = this.bindings.filter(
      (one) => one.key === key && (one.scope === scope || one.scope === "*"),
    );
    return found.reverse().sort((a, b) => Number(a.scope === "*") - Number(b.scope === "*"));
  }

  /**
   * The keys to list: those of a tab, then those of all tabs, one row for each label.
   * @param {string} scope
   * @returns {{label: string, keys: string[]}[]}
   */
  listed(scope) {
    /** @type {Map<string, string[]>} */
    const rows = new Map();
    const local = this.bindings.filter((one) => one.scope === scope);
    for (const one of [...local, ...this.bindings.filter((other) => other.scope === "*")]) {
      if (!one.label) continue;
      const keys = rows.get(one.label) ?? [];
      if (!keys.includes(one.key)) keys.push(one.key);
      rows.set(one.label, keys);
    }
    return [...rows].map(([label, keys]) => ({ label, keys }));
  }

  /**
   * Listen to a document or window.
   * @param {EventTarget} target
   * @returns {() => void}
   */
  listen(target) {
    const down = (/** @type {Event} */ event) => this._down(/** @type {KeyboardEvent} */ (event));
    const up = (/** @type {Event} */ event) => this._up(/** @type {KeyboardEvent} */ (event));
    const blur = () => this._releaseAll();
    target.addEventListener("keydown", down);
    target.addEventListener("keyup", up);
    globalThis.addEventListener("blur", blur);
    return () => {
      target.removeEventListener("keydown", down);
      target.removeEventListener("keyup", up);
      globalThis.removeEventListener("blur", blur);
    };
  }

  /** @param {KeyboardEvent} event */
  _down(event) {
    if (event.defaultPrevented || event.isComposing) return;
    const name = nameOf(event);
    if (!mayFire(name, event.target)) return;
    for (const binding of this.bound(name)) {
      if (binding.release !== null && event.repeat) {
        event.preventDefault();
        return;
      }
      if (binding.act(event) === false) continue;
      if (binding.release !== null) this._held.set(event.code, binding);
      event.preventDefault();
      return;
    }
  }

  /** @param {KeyboardEvent} event */
  _up(event) {
    const held = this._held.get(event.code);
    this._held.delete(event.code);
    held?.release?.(event);
  }

  /** The window lost the focus: no keyup will come. */
  _releaseAll() {
    const held = [...this._held.values()];
    this._held.clear();
    for (const binding of held) binding.release?.(new KeyboardEvent("keyup"));
  }
}

/**
 * Whether keys of the page may fire while an element has the focus. In a field only Enter and Escape
 * do; a control keeps the keys that operate it.
 * @param {string} name
 * @param {EventTarget|null} target
 */
export function mayFire(name, target) {
  if (typeof Element === "undefined" || !(target instanceof Element)) return true;
  if (target.closest("dialog[open]") !== null) return false; // the browser's Escape closes it
  if (target.matches(FIELDS)) return name === "Escape" || name === "Enter";
  return !(OPERATES.has(name) && target.matches(CONTROLS));
}

/** The keys of this page. */
export const keys = new Keys();

/** Making elements, without a library. */

/**
 * @typedef {Node|string|number|null|undefined|false} Child
 * @typedef {{[K in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[K]) => unknown}} Listeners
 * @typedef {{on?: Listeners, style?: Record<string, string|number>} & {[name: string]: unknown}} Attributes
 */

/**
 * An element. Of its attributes, `class` and `for` are as in HTML; `on` holds listeners by event;
 * `style` holds CSS properties, `--custom` ones included; functions and objects are set as
 * properties, `true` as an empty attribute; `false`, null and undefined are left out.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {...(Child|Child[])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  set(made, attributes);
  append(made, children.flat());
  return made;
}

/**
 * An element of SVG.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag
 * @param {Attributes} [attributes]
 * @param {...(Child|Child[])} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  set(made, attributes);
  append(made, children.flat());
  return made;
}

/**
 * Set attributes as in `el`.
 * @param {HTMLElement|SVGElement} element
 * @param {Attributes} attributes
 */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      const listeners = /** @type {Record<string, EventListener>} */ (value);
      for (const [event, listener] of Object.entries(listeners)) {
        element.addEventListener(event, listener);
      }
    } else if (name === "style") {
      const styles = /** @type {Record<string, string|number>} */ (value);
      for (const [property, one] of Object.entries(styles)) {
        element.style.setProperty(dashed(property), String(one));
      }
    } else if (value === false || value === null || value === undefined) {
      element.removeAttribute(name);
    } else if (name === "value" || name === "checked" || typeof value === "function") {
      /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (element))[name] = value;
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

/**
 * Replace all children.
 * @param {Element} element
 * @param {...(Child|Child[])} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children.flat());
}

/**
 * Change a text only where it differs, so that screen readers and layout are left in peace.
 * @param {Node} node
 * @param {string} text
 */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * A button with a text or an icon.
 * @param {string} label  what it does; its text unless `icon` is given
 * @param {() => void} act
 * @param {Attributes & {icon?: string}} [attributes]
 */
export function button(label, act, attributes = {}) {
  const { icon: name, ...rest } = attributes;
  const content = name === undefined ? label : icon(name);
  const named = name === undefined ? {} : { "aria-label": label, title: label };
  return el("button", { type: "button", ...named, ...rest, on: { click: act } }, content);
}

/** Lines of 20 x 20 icons, drawn with the current colour. */
const ICONS = {
  undo: "M7.5 4.5 4 8l3.5 3.5M4.5 8h7a4.25 4.25 0 0 1 0 8.5H8",
  redo: "M12.5 4.5 16 8l-3.5 3.5M15.5 8h-7a4.25 4.25 0 0 0 0 8.5H12",
  close: "M5 5l10 10M15 5 5 15",
  check: "M4 10.5 8 14.5 16 6",
  down: "M5.5 8 10 12.5 14.5 8",
  left: "M12 5 7 10l5 5",
  right: "M8 5l5 5-5 5",
  eye: "M2.5 10S5 5 10 5s7.5 5 7.5 5-2.5 5-7.5 5-7.5-5-7.5-5Zm5 0a2.5 2.5 0 1 0 5 0 2.5 2.5 0 0 0-5 0Z",
  brush: "M16.5 3.5 9 11M7 10.5c2 0 3 1.3 3 2.8 0 2-1.8 3.2-3.8 3.2-1.5 0-2.7-.5-3.2-1 1.5-.3 1.5-1.3 1.5-2.2C4.5 11.8 5.5 10.5 7 10.5Z",
  pencil: "M4 16l.8-3.2L13.5 4a1.7 1.7 0 0 1 2.4 2.4L7.2 15.2 4 16Z",
  question: "M7.5 7.5a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.9-1.1 1.8M10 14.5v.1",
  bolt: "M11 3 5.5 11H10l-1 6 5.5-8H10l1-6Z",
  keyboard: "M2.5 5.5h15v9h-15zM5.5 8.5h.1M8.5 8.5h.1M11.5 8.5h.1M14.5 8.5h.1M7 11.7h6",
  merge: "M4 5h3l4.5 5H16M4 15h3l4.500-5M13 7l3 3-3 3",
  panel: "M3.5 4.5h13v11h-13zM12 4.5v11",
  segment: "M4 3.5l11.5 5-5 1.8L8.3 15.5 4 3.5ZM11 11l4.5 5",
  polygon: "M4 7.5 10.5 3.5l6 5-2 7.5H6.5L4 7.5Z",
  box: "M4 5h12v10H4z",
  eraser: "M8 16 3.5 11.5 11 4l5.5 5.5L10 16H8ZM7 8l5.5 5.5M10 16h7",
  hand: "M10 2.5v15M2.5 10h15M10 2.5 8 4.5M10 2.5l2 2M10 17.5l-2-2M10 17.5l2-2M2.5 10l2-2M2.5 10l2 2M17.5 10l-2-2M17.5 10l-2 2",
  plus: "M10 4.5v11M4.5 10h11",
  minus: "M4.5 10h11",
  fit: "M3.5 7V3.5H7M13 3.5h3.5V7M16.5 13v3.5H13M7 16.5H3.5V13",
  trash: "M4 5.5h12M8 5.5v-2h4v2M5.5 5.5l.8 11h7.4l.8-11M8.5 8.5v5M11.5 8.5v5",
};

/**
 * @param {string} name  of ICONS
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const path = ICONS[/** @type {keyof typeof ICONS} */ (name)] ?? "";
  return svg(
    "svg",
    { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true", focusable: "false" },
    svg("path", { d: path }),
  );
}

/**
 * @param {Element} element
 * @param {Child[]} children
 */
function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** @param {string} property */
function dashed(property) {
  return property.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

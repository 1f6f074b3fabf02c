/** What a card shows of a cluster: crops, where it lies in the photo. And where cards come from. */

import { get } from "../core/api.js";
import { el, fill } from "../core/dom.js";
import { strings } from "../core/strings.js";

/**
 * @typedef {Object} Crop
 * @property {number} photo
 * @property {string} name
 * @property {string} url
 *
 * @typedef {Object} Card  GET /api/card/NODE
 * @property {number} node
 * @property {number} share  of the pixels of the photos seen so far, 0..1
 * @property {number} photos  that show it
 * @property {Crop[]} typical
 * @property {Crop[]} doubtful
 * @property {string|null} heat  address of a picture; null = it is nowhere yet
 * @property {number} ready  share of the photos seen so far, 0..1
 */

const KEPT = 80;
const STALE_MS = 4000; // a card of a folder that is still being read is asked for again after this

/** Cards by node, fetched once, the next one ahead of time. */
export class CardSource {
  /** @param {(node: number, error: unknown) => void} onFail */
  constructor(onFail) {
    this._onFail = onFail;
    /** @type {Map<number, {card: Card|null, promise: Promise<Card|null>, time: number}>} */
    this._kept = new Map();
  }

  /**
   * What is known of a node now.
   * @param {number} node
   * @returns {Card|null}
   */
  peek(node) {
    return this._kept.get(node)?.card ?? null;
  }

  /**
   * @param {number} node
   * @param {boolean} [allSeen]  what was fetched before all photos were looked at is out of date
   * @returns {Promise<Card|null>}  null = it could not be fetched
   */
  load(node, allSeen = false) {
    const kept = this._kept.get(node);
    const whole = kept !== undefined && (kept.card === null || kept.card.ready >= 1);
    const fresh = kept !== undefined && !allSeen && Date.now() - kept.time < STALE_MS;
    if (kept !== undefined && (whole || fresh)) return kept.promise;
    const entry = { card: kept?.card ?? null, promise: this._fetch(node), time: Date.now() };
    this._kept.delete(node);
    this._kept.set(node, entry);
    entry.promise.then((card) => {
      if (card !== null) entry.card = card;
      else if (this._kept.get(node) === entry) this._kept.delete(node);
    });
    for (const oldest of this._kept.keys()) {
      if (this._kept.size <= KEPT) break;
      this._kept.delete(oldest);
    }
    return entry.promise;
  }

  /**
   * Fetch a card and its pictures before they are needed.
   * @param {number} node
   */
  async prefetch(node) {
    const card = await this.load(node);
    for (const crop of [...(card?.typical ?? []), ...(card?.doubtful ?? [])]) {
      new Image().src = crop.url;
    }
  }

  /** @param {number} node */
  async _fetch(node) {
    try {
      return /** @type {Card} */ (await get(`/api/card/${node}`));
    } catch (error) {
      this._onFail(node, error);
      return null;
    }
  }
}

/**
 * A strip of crops. Pictures that stay the same stay in place, so that nothing flickers.
 * @param {string} title
 * @param {string} hint
 * @param {number} places
 * @param {(photo: number) => void} open
 */
export function cropStrip(title, hint, places, open) {
  const list = el("ul", { class: "crops", style: { "--places": places } });
  const none = el("p", { class: "quiet", hidden: true }, strings.cards.noCrops);
  const root = el("div", { class: "crop-strip" }, el("h3", { title: hint }, title), list, none);
  let shown = "none yet";
  return {
    root,
    /** @param {readonly Crop[]|null} crops  null = not known yet */
    show(crops) {
      const key = crops === null ? "?" : crops.map((crop) => crop.url).join(" ");
      if (key === shown) return;
      shown = key;
      none.hidden = crops === null || crops.length > 0;
      list.hidden = !none.hidden;
      fill(
        list,
        crops === null
          ? Array.from({ length: places }, () => el("li", { class: "crop waiting" }))
          : crops.slice(0, places).map((crop) => oneCrop(crop, open)),
      );
    },
  };
}

/**
 * @param {Crop} crop
 * @param {(photo: number) => void} open
 */
function oneCrop(crop, open) {
  return el(
    "li",
    { class: "crop" },
    el(
      "button",
      {
        type: "button", title: strings.cards.openPhoto(crop.name),
        on: { click: () => open(crop.photo) },
      },
      el("img", { src: crop.url, alt: strings.cards.cropOf(crop.name), decoding: "async" }),
    ),
  );
}

/** The small map of where in the photo a cluster lies. */
export function heatView() {
  const image = el("img", { class: "heat-map", alt: strings.cards.whereAlt, width: 64, height: 64 });
  const root = el("figure", { class: "heat" }, image, el("figcaption", {}, strings.cards.where));
  return {
    root,
    /** @param {string} address */
    show(address) {
      root.classList.toggle("waiting", !address);
      image.hidden = !address;
      if (address && image.getAttribute("src") !== address) image.src = address;
    },
  };
}

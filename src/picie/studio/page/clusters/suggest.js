/** Names to offer while a person types, and those on the keys 1 to 9. Pure. */

const MOST_SLOTS = 9;

/**
 * The names that fit what was typed: those that begin with it, those with a word that does, the rest.
 * @param {readonly string[]} names  in the order in which equal ones are offered
 * @param {string} typed
 * @param {number} [most]
 * @returns {string[]}
 */
export function suggestions(names, typed, most = 8) {
  const wanted = fold(typed);
  if (!wanted) return names.slice(0, most);
  /** @type {string[][]} */
  const ranks = [[], [], []];
  for (const name of names) {
    const folded = fold(name);
    if (folded.startsWith(wanted)) ranks[0].push(name);
    else if (folded.split(/[\s\-_/]+/).some((word) => word.startsWith(wanted))) ranks[1].push(name);
    else if (folded.includes(wanted)) ranks[2].push(name);
  }
  return ranks.flat().slice(0, most);
}

/**
 * The name to give for what was typed: an existing name that differs only in case or spaces, so that
 * "Road" and "road" do not become two classes by accident.
 * @param {readonly string[]} names
 * @param {string} typed
 * @returns {string}
 */
export function settled(names, typed) {
  const wanted = typed.trim().replace(/\s+/g, " ");
  if (names.includes(wanted)) return wanted;
  return names.find((name) => fold(name) === fold(wanted)) ?? wanted;
}

/**
 * Names on the keys 1 to 9. A name keeps its key; the tenth takes that of the one used longest ago.
 */
export class Recent {
  /** @param {readonly string[]} [names] */
  constructor(names = []) {
    /** @type {string[]} */
    this.slots = [];
    /** @type {Map<string, number>} */
    this._used = new Map();
    this._clock = 0;
    for (const name of names.slice(0, MOST_SLOTS)) this.slots.push(name);
  }

  /** @param {string} name */
  use(name) {
    this._clock += 1;
    this._used.set(name, this._clock);
    if (this.slots.includes(name)) return;
    if (this.slots.length < MOST_SLOTS) {
      this.slots.push(name);
      return;
    }
    let oldest = 0;
    for (let place = 1; place < MOST_SLOTS; place += 1) {
      if (this._time(place) < this._time(oldest)) oldest = place;
    }
    this.slots[oldest] = name;
  }

  /**
   * Forget names that are gone, and fill free keys with others.
   * @param {readonly string[]} names  all that exist
   */
  keep(names) {
    this.slots = this.slots.filter((name) => names.includes(name));
    for (const name of names) {
      if (this.slots.length >= MOST_SLOTS) break;
      if (!this.slots.includes(name)) this.slots.push(name);
    }
  }

  /** @param {number} place */
  _time(place) {
    return this._used.get(this.slots[place]) ?? 0;
  }
}

/** @param {string} text */
function fold(text) {
  return text.trim().toLocaleLowerCase().normalize("NFKD").replace(/\p{M}/gu, "");
}

/**
 * From cells to pixels: each pixel takes the key with the largest bilinear weight among its four
 * nearest cells, so that boundaries are smooth at any size. Whole numbers only, so that the painters
 * on CPU and GPU agree in every pixel. Pure.
 */

/** @typedef {import("../core/types.js").LeafMap} LeafMap */

/**
 * The cell before a pixel and the weight of the next one, along one side.
 * @param {number} pixels  of the side
 * @param {number} start  where the first pixel begins, in 1/256 cells
 * @param {number} length  of the side, in 1/256 cells
 * @returns {{cell: Int32Array, weight: Int32Array}}  weight in 1/256
 */
export function places(pixels, start, length) {
  const cell = new Int32Array(pixels);
  const weight = new Int32Array(pixels);
  for (let pixel = 0; pixel < pixels; pixel += 1) {
    const place = start + Math.floor(((2 * pixel + 1) * length) / (2 * pixels)) - 128;
    cell[pixel] = place >> 8;
    weight[pixel] = place & 255;
  }
  return { cell, weight };
}

/**
 * A part of a map in 1/256 cells, the unit in which places are counted.
 * @param {{w: number, h: number}} map
 * @param {import("./painter.js").Part|null} [part]
 */
export function stretchOf({ w, h }, part) {
  const { x, y, width, height } = part ?? { x: 0, y: 0, width: 1, height: 1 };
  const even = (/** @type {number} */ share, /** @type {number} */ cells) =>
    Math.max(2, 2 * Math.round(share * cells * 128));
  return {
    x: Math.round(x * w * 256), y: Math.round(y * h * 256),
    width: even(width, w), height: even(height, h),
  };
}

/**
 * The winner of four cells; of equal weights, the first.
 * @param {number} a  key of the cell above left
 * @param {number} b  above right
 * @param {number} c  below left
 * @param {number} d  below right
 * @param {number} x  weight of the right cells, 0..255
 * @param {number} y  of the lower cells
 */
export function winner(a, b, c, d, x, y) {
  const wd = x * y;
  const wb = (x << 8) - wd;
  const wc = (y << 8) - wd;
  let best = 65536 - wb - wc - wd;
  if (b === a) best += wb;
  if (c === a) best += wc;
  if (d === a) best += wd;
  let key = a;
  if (b !== a) {
    const weight = wb + (c === b ? wc : 0) + (d === b ? wd : 0);
    if (weight > best) {
      best = weight;
      key = b;
    }
  }
  if (c !== a && c !== b) {
    const weight = wc + (d === c ? wd : 0);
    if (weight > best) {
      best = weight;
      key = c;
    }
  }
  return wd > best ? d : key;
}

/**
 * How much of a pixel on a boundary belongs to the winner, 128..255 of 255: boundaries are one pixel
 * wide, whatever the size of cells.
 * @param {number} margin  weight of the winner beyond that of the second
 * @param {number} band  margin from which on a pixel belongs to the winner alone
 */
export function coverOf(margin, band) {
  return margin >= band ? 255 : 128 + Math.floor((127 * margin) / band);
}

/**
 * The margin that half a pixel makes.
 * @param {{width: number, height: number}} stretch  of the map that is shown
 * @param {number} width  pixels
 * @param {number} height
 */
export function bandOf(stretch, width, height) {
  const across = Math.floor((stretch.width * 256) / width);
  const down = Math.floor((stretch.height * 256) / height);
  return Math.min(32768, Math.max(1, across, down));
}

/**
 * The second of four cells: the key other than the winner with the largest weight.
 * @param {number} key  the winner
 * @param {number} a
 * @param {number} b
 * @param {number} c
 * @param {number} d
 * @param {number} x
 * @param {number} y
 * @param {Int32Array} into  second key, and the margin of the winner before it
 */
function second(key, a, b, c, d, x, y, into) {
  const wd = x * y;
  const wb = (x << 8) - wd;
  const wc = (y << 8) - wd;
  const wa = 65536 - wb - wc - wd;
  let most = -1;
  let other = key;
  let own = 0;
  if (a === key) own += wa;
  else {
    most = wa + (b === a ? wb : 0) + (c === a ? wc : 0) + (d === a ? wd : 0);
    other = a;
  }
  if (b === key) own += wb;
  else {
    const weight = wb + (a === b ? wa : 0) + (c === b ? wc : 0) + (d === b ? wd : 0);
    if (weight > most) [most, other] = [weight, b];
  }
  if (c === key) own += wc;
  else {
    const weight = wc + (a === c ? wa : 0) + (b === c ? wb : 0) + (d === c ? wd : 0);
    if (weight > most) [most, other] = [weight, c];
  }
  if (d === key) own += wd;
  else {
    const weight = wd + (a === d ? wa : 0) + (b === d ? wb : 0) + (c === d ? wc : 0);
    if (weight > most) [most, other] = [weight, d];
  }
  into[0] = other;
  into[1] = own - most;
}

/**
 * @typedef {Object} Soft  what boundaries are blended with
 * @property {Uint16Array} second  the other key of each pixel on a boundary
 * @property {Uint8Array} cover  share of the winner, 255 = all of the pixel
 */

/**
 * The key of every pixel.
 * @param {LeafMap} map
 * @param {Uint16Array} table  key of each leaf; leaves beyond it have key 65535
 * @param {number} width  pixels
 * @param {number} height
 * @param {Uint16Array} [into]  (height * width)
 * @param {import("./painter.js").Part|null} [part]  what of the map the pixels show
 * @param {Soft|null} [soft]  filled, if it is given
 * @returns {Uint16Array}
 */
export function keysOf(map, table, width, height, into = new Uint16Array(width * height), part, soft = null) {
  const { w, h, data } = map;
  const stretch = stretchOf(map, part);
  const across = places(width, stretch.x, stretch.width);
  const down = places(height, stretch.y, stretch.height);
  const cells = new Uint16Array(w * h);
  for (let at = 0; at < cells.length; at += 1) {
    cells[at] = data[at] < table.length ? table[data[at]] : 65535;
  }
  const ends = runs(across.cell);
  const band = bandOf(stretch, width, height);
  const found = new Int32Array(2);
  soft?.cover.fill(255, 0, width * height);
  for (let y = 0; y < height; y += 1) {
    const top = Math.min(h - 1, Math.max(0, down.cell[y])) * w;
    const bottom = Math.min(h - 1, down.cell[y] + 1) * w;
    const fy = down.weight[y];
    const row = y * width;
    let x = 0;
    for (let run = 0; run < ends.length; run += 1) {
      const end = ends[run];
      const left = Math.min(w - 1, Math.max(0, across.cell[x]));
      const right = Math.min(w - 1, across.cell[x] + 1);
      const a = cells[top + left];
      const b = cells[top + right];
      const c = cells[bottom + left];
      const d = cells[bottom + right];
      if (a === b && c === d && a === c) {
        for (; x < end; x += 1) into[row + x] = a;
      } else {
        for (; x < end; x += 1) {
          const key = winner(a, b, c, d, across.weight[x], fy);
          into[row + x] = key;
          if (soft === null) continue;
          second(key, a, b, c, d, across.weight[x], fy, found);
          if (found[1] >= band) continue;
          soft.second[row + x] = found[0];
          soft.cover[row + x] = coverOf(found[1], band);
        }
      }
    }
  }
  return into;
}

/**
 * The leaf under a point: the nearest cell with the key that is painted there.
 * @param {LeafMap} map
 * @param {Uint16Array} table
 * @param {number} x  0..1 of the width
 * @param {number} y  0..1 of the height
 * @returns {number}
 */
export function leafAt(map, table, x, y) {
  const { w, h, data } = map;
  const at = (/** @type {number} */ share, /** @type {number} */ count) =>
    Math.floor(Math.min(Math.max(share, 0), 0.999999) * count * 256) - 128;
  const [px, py] = [at(x, w), at(y, h)];
  const [left, top] = [Math.max(0, px >> 8), Math.max(0, py >> 8)];
  const [right, bottom] = [Math.min(w - 1, (px >> 8) + 1), Math.min(h - 1, (py >> 8) + 1)];
  const leaves = [
    data[top * w + left], data[top * w + right], data[bottom * w + left], data[bottom * w + right],
  ];
  const [a, b, c, d] = leaves.map((leaf) => table[leaf] ?? 65535);
  const key = winner(a, b, c, d, px & 255, py & 255);
  const nearest = ((py & 255) >= 128 ? 2 : 0) + ((px & 255) >= 128 ? 1 : 0);
  if ([a, b, c, d][nearest] === key) return leaves[nearest];
  return leaves[[a, b, c, d].indexOf(key)];
}

/**
 * Where the runs of equal numbers end.
 * @param {Int32Array} numbers
 * @returns {number[]}
 */
function runs(numbers) {
  const ends = [];
  for (let place = 1; place <= numbers.length; place += 1) {
    if (place === numbers.length || numbers[place] !== numbers[place - 1]) ends.push(place);
  }
  return ends;
}

/** Painting masks on the GPU: one shared WebGL2 context, copied to the canvas of each photo. */

import { CHANGED_ALPHA, RIM, VEIL, keysBefore, sameNames } from "./painter_2d.js";
import { bandOf, stretchOf } from "./votes.js";

/** @typedef {import("./painter.js").Painter} Painter */
/** @typedef {import("./painter.js").PaintOptions} PaintOptions */
/** @typedef {import("../core/types.js").LeafMap} LeafMap */
/** @typedef {import("../core/types.js").Table} Table */

const MOST_TEXTURES = 400; // maps kept on the GPU
const MOST_BYTES = 2 ** 27; // of them: fine maps are large

const VERTEX = `#version 300 es
void main() {
  vec2 corner = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  gl_Position = vec4(corner * 4.0 - 1.0, 0.0, 1.0);
}`;

const vec = (/** @type {number[]} */ rgba) => `vec4(${rgba.map((one) => one.toFixed(1)).join(", ")})`;

const FRAGMENT = `#version 300 es
precision highp float; precision highp int; precision highp usampler2D;
uniform usampler2D map; uniform usampler2D keys;  // leaf of a cell; key of a leaf
uniform usampler2D oldMap; uniform usampler2D oldKeys;
uniform usampler2D colours;  // of a key: RGBA; below: glows, first key of its name
uniform ivec2 size; uniform ivec2 grid; uniform ivec2 oldGrid;
uniform ivec4 stretch; uniform ivec4 oldStretch;  // what is shown, in 1/256 cells: start, half of the size
uniform ivec3 counts;  // leaves in keys, leaves in oldKeys, keys
uniform int band;  // lead from which on a pixel is the winner's alone
uniform bool outlines; uniform bool glows; uniform bool changes;
out vec4 colour;

int keyOf(usampler2D cells, usampler2D table, int leaves, ivec2 cell) {
  int leaf = int(texelFetch(cells, cell, 0).r);
  return leaf < leaves ? int(texelFetch(table, ivec2(leaf, 0), 0).r) : 65535;
}
// The winner of the four nearest cells; the second key, and the weight that the winner is ahead.
ivec3 vote(usampler2D cells, usampler2D table, int leaves, ivec2 extent, ivec4 part, ivec2 at) {
  ivec2 place = part.xy + (2 * at + 1) * part.zw / size - 128;
  ivec2 low = clamp(place >> 8, ivec2(0), extent - 1), high = min((place >> 8) + 1, extent - 1), f = place & 255;
  ivec4 k = ivec4(keyOf(cells, table, leaves, low), keyOf(cells, table, leaves, ivec2(high.x, low.y)),
    keyOf(cells, table, leaves, ivec2(low.x, high.y)), keyOf(cells, table, leaves, high));
  if (k.x == k.y && k.x == k.z && k.x == k.w) return ivec3(k.x, k.x, 65536);
  ivec4 w = ivec4((256 - f.x) * (256 - f.y), f.x * (256 - f.y), (256 - f.x) * f.y, f.x * f.y), sums;
  for (int i = 0; i < 4; i++) {
    sums[i] = 0;
    for (int j = 0; j < 4; j++) if (k[i] == k[j]) sums[i] += w[j];
  }
  int best = 0, second = -1;
  for (int i = 1; i < 4; i++) if (sums[i] > sums[best]) best = i;
  for (int i = 0; i < 4; i++) if (k[i] != k[best] && (second < 0 || sums[i] > sums[second])) second = i;
  return ivec3(k[best], k[second], sums[best] - sums[second]);
}
int now(ivec2 at) { return vote(map, keys, counts.x, grid, stretch, at).x; }
bool hot(int key) { return key < counts.z && texelFetch(colours, ivec2(key, 1), 0).r == 1u; }
vec4 shown(int key) {
  return key < counts.z ? vec4(texelFetch(colours, ivec2(key, 0), 0)) : vec4(0.0);
}
void main() {
  ivec2 at = ivec2(int(gl_FragCoord.x), size.y - 1 - int(gl_FragCoord.y));
  ivec3 found = vote(map, keys, counts.x, grid, stretch, at);
  int key = found.x;
  vec4 rgba = shown(key);
  if (changes) {
    uvec4 more = texelFetch(colours, ivec2(min(key, counts.z - 1), 1), 0);
    int first = int(more.g) + 256 * int(more.b);
    bool same = key >= counts.z || first == vote(oldMap, oldKeys, counts.y, oldGrid, oldStretch, at).x;
    rgba = same ? ${vec(VEIL)} : vec4(rgba.rgb, ${CHANGED_ALPHA.toFixed(1)});
  } else if (!outlines && found.z < band) {
    float cover = float(128 + 127 * found.z / band);
    vec4 other = shown(found.y);
    float all = rgba.a * cover + other.a * (255.0 - cover);
    vec3 both = rgba.rgb * rgba.a * cover + other.rgb * other.a * (255.0 - cover);
    rgba = all > 0.0 ? vec4(both / all, all / 255.0) : vec4(0.0);
  }
  if (!changes && (outlines || glows)) {
    ivec4 beside = ivec4(now(ivec2(max(at.x - 1, 0), at.y)), now(ivec2(min(at.x + 1, size.x - 1), at.y)),
      now(ivec2(at.x, max(at.y - 1, 0))), now(ivec2(at.x, min(at.y + 1, size.y - 1))));
    if (beside != ivec4(key)) {
      if (glows && hot(key)) {
        bool inside = hot(beside.x) && hot(beside.y) && hot(beside.z) && hot(beside.w);
        if (!inside) rgba = ${vec(RIM)};
      } else if (outlines) rgba = rgba.a > 0.0 ? vec4(rgba.rgb, 255.0) : vec4(0.0);
    }
  }
  rgba /= 255.0;
  colour = vec4(rgba.rgb * rgba.a, rgba.a);
}`;

/**
 * @param {boolean} emulated  whether an emulated GPU will do
 * @param {() => Painter} fallback  for when the GPU is lost
 * @returns {Painter|null}  null = there is none
 */
export function createPainterGL(emulated, fallback) {
  const canvas = document.createElement("canvas");
  const options = {
    alpha: true, antialias: false, depth: false, stencil: false, premultipliedAlpha: true,
    preserveDrawingBuffer: false, failIfMajorPerformanceCaveat: !emulated,
  };
  const gl = /** @type {WebGL2RenderingContext|null} */ (canvas.getContext("webgl2", options));
  if (gl === null || (!emulated && isEmulated(gl))) return null;
  const program = link(gl);
  if (program === null) return null;
  const painter = new PainterGL(canvas, gl, program);
  /** @type {Painter|null} */
  let other = null;
  canvas.addEventListener("webglcontextlost", (event) => {
    event.preventDefault();
    other = fallback();
  });
  return {
    kind: "webgl2",
    free: () => painter.free(),
    paint: (target, map, table, wanted) => (other ?? painter).paint(target, map, table, wanted),
  };
}

/**
 * Browsers do not all see that a GPU is emulated.
 * @param {WebGL2RenderingContext} gl
 */
function isEmulated(gl) {
  const names = gl.getExtension("WEBGL_debug_renderer_info");
  const name = String(gl.getParameter(names?.UNMASKED_RENDERER_WEBGL ?? gl.RENDERER));
  return /swiftshader|llvmpipe|software|basic render/i.test(name);
}

class PainterGL {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {WebGL2RenderingContext} gl
   * @param {WebGLProgram} program
   */
  constructor(canvas, gl, program) {
    this._canvas = canvas;
    this._gl = gl;
    /** @type {Map<LeafMap, WebGLTexture>} */
    this._maps = new Map();
    this._bytes = 0;
    /** @type {{table: Table, before: Table|null}|null} */
    this._loaded = null;
    this._keys = texture(gl);
    this._oldKeys = texture(gl);
    this._colours = texture(gl);
    this._glows = false;
    gl.useProgram(program);
    /** @type {Record<string, WebGLUniformLocation|null>} */
    this._places = {};
    const names = [
      "size", "grid", "oldGrid", "stretch", "oldStretch", "counts", "band", "outlines", "glows",
      "changes",
    ];
    for (const name of names) this._places[name] = gl.getUniformLocation(program, name);
    ["map", "keys", "oldMap", "oldKeys", "colours"].forEach((name, unit) => {
      gl.uniform1i(gl.getUniformLocation(program, name), unit);
    });
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.disable(gl.BLEND);
  }

  /**
   * @param {HTMLCanvasElement} target
   * @param {LeafMap} map
   * @param {Table} table
   * @param {PaintOptions} options
   */
  paint(target, map, table, { width, height, outlines, changed, part }) {
    const gl = this._gl;
    const context = target.getContext("2d");
    if (context === null) return;
    if (this._canvas.width < width) this._canvas.width = width;
    if (this._canvas.height < height) this._canvas.height = height;
    this._load(table, changed?.table ?? null);
    const old = changed?.map ?? map;
    this._use(0, this._texture(map));
    this._use(2, this._texture(old));
    gl.viewport(0, 0, width, height);
    gl.uniform2i(this._places.size, width, height);
    gl.uniform2i(this._places.grid, map.w, map.h);
    gl.uniform2i(this._places.oldGrid, old.w, old.h);
    for (const [place, of] of /** @type {const} */ ([["stretch", map], ["oldStretch", old]])) {
      const shown = stretchOf(of, part);
      gl.uniform4i(this._places[place], shown.x, shown.y, shown.width / 2, shown.height / 2);
    }
    gl.uniform1i(this._places.band, bandOf(stretchOf(map, part), width, height));
    const before = changed?.table.keys.length ?? 0;
    gl.uniform3i(this._places.counts, table.keys.length, before, table.titles.length);
    gl.uniform1i(this._places.outlines, outlines ? 1 : 0);
    gl.uniform1i(this._places.glows, this._glows ? 1 : 0);
    gl.uniform1i(this._places.changes, changed ? 1 : 0);
    gl.drawArrays(gl.TRIANGLES, 0, 3);
    if (target.width !== width || target.height !== height) {
      target.width = width;
      target.height = height;
    } else context.clearRect(0, 0, width, height);
    const top = this._canvas.height - height; // the viewport is at the bottom left
    context.drawImage(this._canvas, 0, top, width, height, 0, 0, width, height);
  }

  free() {
    for (const one of this._maps.values()) this._gl.deleteTexture(one);
    this._maps.clear();
    this._bytes = 0;
    this._gl.getExtension("WEBGL_lose_context")?.loseContext();
  }

  /**
   * Bring the tables to the GPU if they are others than last time.
   * @param {Table} table
   * @param {Table|null} before
   */
  _load(table, before) {
    if (this._loaded?.table === table && this._loaded.before === before) return;
    this._loaded = { table, before };
    const gl = this._gl;
    const put = (/** @type {Uint16Array} */ keys) => {
      const row = keys.length ? keys : new Uint16Array(1);
      gl.texImage2D(gl.TEXTURE_2D, 0, gl.R16UI, row.length, 1, 0, gl.RED_INTEGER, gl.UNSIGNED_SHORT, row);
    };
    this._use(1, this._keys);
    put(table.keys);
    this._use(3, this._oldKeys);
    put(before === null ? new Uint16Array(1) : keysBefore(before, table));
    const count = Math.max(1, table.titles.length);
    const rows = new Uint8Array(8 * count);
    rows.set(table.colours);
    sameNames(table).forEach((first, key) => {
      rows.set([table.hot[key], first & 255, first >> 8, 0], 4 * (count + key));
    });
    this._use(4, this._colours);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8UI, count, 2, 0, gl.RGBA_INTEGER, gl.UNSIGNED_BYTE, rows);
    this._glows = table.hot.includes(1);
  }

  /**
   * @param {number} unit
   * @param {WebGLTexture|null} one
   */
  _use(unit, one) {
    this._gl.activeTexture(this._gl.TEXTURE0 + unit);
    this._gl.bindTexture(this._gl.TEXTURE_2D, one);
  }

  /** @param {LeafMap} map */
  _texture(map) {
    const gl = this._gl;
    const known = this._maps.get(map);
    if (known !== undefined) {
      this._maps.delete(map);
      this._maps.set(map, known);
      return known;
    }
    const made = /** @type {WebGLTexture} */ (texture(gl));
    this._use(7, made);
    const { w, h, data } = map;
    const wide = data instanceof Uint16Array;
    const [inside, type] = wide ? [gl.R16UI, gl.UNSIGNED_SHORT] : [gl.R8UI, gl.UNSIGNED_BYTE];
    gl.texImage2D(gl.TEXTURE_2D, 0, inside, w, h, 0, gl.RED_INTEGER, type, data);
    this._maps.set(map, made);
    this._bytes += data.byteLength;
    while (this._maps.size > 1 && (this._maps.size > MOST_TEXTURES || this._bytes > MOST_BYTES)) {
      const [oldest, its] = /** @type {[LeafMap, WebGLTexture]} */ (this._maps.entries().next().value);
      gl.deleteTexture(its);
      this._maps.delete(oldest);
      this._bytes -= oldest.data.byteLength;
    }
    return made;
  }
}

/** @param {WebGL2RenderingContext} gl */
function texture(gl) {
  const made = gl.createTexture();
  gl.activeTexture(gl.TEXTURE7); // none that the shader reads
  gl.bindTexture(gl.TEXTURE_2D, made);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  return made;
}

/**
 * @param {WebGL2RenderingContext} gl
 * @returns {WebGLProgram|null}
 */
function link(gl) {
  const program = gl.createProgram();
  const parts = /** @type {const} */ ([[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]);
  for (const [kind, text] of parts) {
    const shader = gl.createShader(kind);
    if (shader === null || program === null) return null;
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  if (program === null) return null;
  gl.linkProgram(program);
  if (gl.getProgramParameter(program, gl.LINK_STATUS)) return program;
  console.warn(gl.getProgramInfoLog(program));
  return null;
}

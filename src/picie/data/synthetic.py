"""Synthetic street, country and waterside scenes with exact class masks.

The scenes are drawn by this module from random numbers alone; they show nobody's photographs and
may be shipped and passed on freely.

A scene is a small world in metres: X to the right, V up from flat ground, Z away from the camera.
Convex solids (buildings, cars) and leafy crowns are painted from far to near. Colour, light,
weather and camera differ more from scene to scene than from class to class, so a class shows in
its texture, shape and place rather than in its mean colour.
"""

import colorsys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

__all__ = ["CLASSES", "draw_scene", "write_scenes"]

CLASSES = ("sky", "building", "road", "vegetation", "water", "mountain", "car", "field")
"""Class names in the order of their ids."""

_SKY, _BUILDING, _ROAD, _VEGETATION, _WATER, _MOUNTAIN, _CAR, _FIELD = range(8)
_FAR = 1e4

_Array = NDArray[np.float32]
_Window = tuple[slice, slice]

# Ranges of hue, saturation and value; one row is chosen for each scene or object.
_SKIES = ((0.55, 0.62, 0.3, 0.65, 0.6, 0.9), (0, 1, 0, 0.08, 0.5, 0.8), (0.6, 0.75, 0.15, 0.4, 0.4, 0.7))
_HAZES = ((0.52, 0.6, 0.03, 0.2, 0.8, 0.97), (0.03, 0.12, 0.2, 0.6, 0.8, 0.97), (0, 1, 0, 0.06, 0.6, 0.9))
_LEAVES = ((0.22, 0.36, 0.35, 0.7, 0.22, 0.5), (0.03, 0.13, 0.5, 0.8, 0.35, 0.65),
           (0.13, 0.2, 0.3, 0.6, 0.25, 0.5), (0.38, 0.48, 0.2, 0.5, 0.15, 0.35),
           (0.9, 0.98, 0.15, 0.4, 0.5, 0.75))  # fmt: skip
_CROPS = ((0.2, 0.33, 0.35, 0.65, 0.35, 0.65), (0.1, 0.15, 0.35, 0.65, 0.55, 0.85),
          (0.04, 0.09, 0.3, 0.55, 0.25, 0.5), (0.75, 0.85, 0.15, 0.35, 0.35, 0.6),
          (0.55, 0.65, 0.02, 0.08, 0.7, 0.9))  # fmt: skip
_ROCKS = ((0, 1, 0, 0.12, 0.3, 0.6), (0.04, 0.09, 0.2, 0.45, 0.3, 0.55),
          (0.22, 0.35, 0.2, 0.45, 0.2, 0.45), (0.58, 0.7, 0.15, 0.4, 0.3, 0.55))  # fmt: skip
_WALLS = ((0, 1, 0.05, 0.4, 0.5, 0.9), (0, 0.06, 0.4, 0.65, 0.35, 0.65), (0, 1, 0, 0.06, 0.75, 0.95),
          (0.08, 0.13, 0.2, 0.45, 0.6, 0.85), (0, 1, 0.1, 0.4, 0.2, 0.4))  # fmt: skip
_PAVINGS = ((0, 1, 0, 0.08, 0.25, 0.6), (0.06, 0.1, 0.2, 0.45, 0.4, 0.6), (0, 0.03, 0.1, 0.3, 0.3, 0.5))
_WATERS = ((0.52, 0.62, 0.3, 0.6, 0.25, 0.5), (0.35, 0.48, 0.2, 0.5, 0.2, 0.4),
           (0.07, 0.13, 0.2, 0.5, 0.25, 0.45), (0, 1, 0, 0.1, 0.3, 0.55))  # fmt: skip
_PAINTS = ((0, 1, 0.5, 0.9, 0.3, 0.9), (0, 1, 0, 0.05, 0.08, 0.95))


def write_scenes(
    out: str | Path,
    *,
    train: int = 48,
    val: int = 16,
    size: tuple[int, int] = (240, 320),
    seed: int = 0,
) -> Path:
    """Write a labelled folder: images/, masks/, classes.txt, train.txt and val.txt.

    Args:
        out: the folder; made where missing, files of the same names are replaced.
        train: scenes named in train.txt.
        val: scenes named in val.txt, numbered after those of train.
        size: (H, W) in pixels.
        seed: scene i depends on (seed, i) and `size` only.

    Returns:
        The folder.
    """
    out = Path(out)
    for name in ("images", "masks"):
        (out / name).mkdir(parents=True, exist_ok=True)
    names = [f"scene_{index:04d}" for index in range(train + val)]
    for index, name in enumerate(names):
        image, mask = draw_scene(seed, index, size)
        Image.fromarray(image).save(out / "images" / f"{name}.jpg", quality=92)
        Image.fromarray(mask).save(out / "masks" / f"{name}.png")
    lists = {"classes": CLASSES, "train": names[:train], "val": names[train:]}
    for name, lines in lists.items():
        (out / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return out


def draw_scene(
    seed: int, index: int, size: tuple[int, int] = (240, 320)
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one scene.

    Args:
        seed: seed of the set.
        index: number of the scene.
        size: (H, W) in pixels.

    Returns:
        The picture (H, W, 3) uint8 RGB, and its class ids (H, W) uint8.
    """
    scene = _Scene(np.random.default_rng((seed, index)), size)
    _paint_sky(scene)
    for _ in range(scene.rng.choice(3, p=[0.45, 0.3, 0.25])):
        _paint_mountains(scene)
    if scene.chance(0.6):
        _paint_forest(scene)
    _paint_ground(scene)
    for _, paint in sorted(_objects(scene), key=lambda item: -item[0]):
        paint()
    _reflect(scene)
    return _develop(scene), scene.ids


class _Scene:
    """Camera, light, layout and canvas of one scene."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.rng = rng
        self.height, self.width = size
        self.horizon = self.height * rng.uniform(0.32, 0.55)
        self.centre = self.width * rng.uniform(0.3, 0.7)
        self.focal = self.width * rng.uniform(0.75, 1.1)
        self.eye = rng.uniform(1.6, 3.2)
        y, x = np.ogrid[0 : self.height, 0 : self.width]
        # rays: a point seen at (y, x) is (right * Z, eye + up * Z, Z)
        self.right: _Array = ((x + 0.5 - self.centre) / self.focal).astype(np.float32)  # (1, W)
        self.up: _Array = ((self.horizon - y - 0.5) / self.focal).astype(np.float32)  # (H, 1)
        self.rgb = np.zeros((*size, 3), np.float32)
        self.ids = np.zeros(size, np.uint8)
        self.depth = np.full(size, _FAR, np.float32)
        self.light = np.array([rng.choice([-1, 1]) * rng.uniform(0.3, 1.2), 0.8, -0.5])
        self.light /= np.linalg.norm(self.light)
        self.sun = rng.uniform(0.1, 0.7)  # direct light; the rest comes from everywhere
        self.rough, self.soft = _noise(rng, 0.7), _noise(rng, 1.7)
        self.haze, self.zenith = self.colour(_HAZES), self.colour(_SKIES)
        self.leaves, self.wall = self.colour(_LEAVES), self.colour(_WALLS)
        self.kind = str(rng.choice(["street", "country", "lake", "quay"], p=[0.34, 0.26, 0.2, 0.2]))
        self.half = rng.uniform(2.2, 3.8)  # half the width of the road
        self.verge = rng.uniform(1.0, 3.0) * (self.kind in ("street", "quay"))  # pavement
        self.bend = rng.uniform(-1, 1) * 0.004 * (self.kind == "country")
        self.side = rng.choice([-1, 1])
        self.shore = rng.uniform(7, 16), rng.uniform(60, 200)
        self.has_road = self.kind in ("street", "quay") or self.chance(0.75)
        self.has_river = self.kind == "country" and self.chance(0.35)

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def colour(self, rows: Sequence[tuple[float, ...]]) -> _Array:
        """(3,) RGB from one of the rows."""
        ranges = np.reshape(rows[self.rng.integers(len(rows))], (3, 2))
        return np.array(colorsys.hsv_to_rgb(*self.rng.uniform(*ranges.T)), np.float32)

    def near(self, colour: _Array, spread: float) -> _Array:
        """A colour that differs a little."""
        return (colour * self.rng.normal(1, spread, 3)).clip(0.02, 0.98).astype(np.float32)

    def window(self, x: Sequence[float], v: Sequence[float], z: Sequence[float]) -> _Window:
        """Rows and columns that a box in the world covers."""
        rights, ups = np.divide.outer(x, z), np.divide.outer(np.subtract(v, self.eye), z)
        columns, rows = self.centre + self.focal * rights, self.horizon - self.focal * ups
        limits = ((rows, self.height), (columns, self.width))
        r, c = (slice(*np.clip([p.min() - 1, p.max() + 2], 0, n).astype(int)) for p, n in limits)
        return r, c

    def paint(self, at: _Window, inside: NDArray[np.bool_], rgb: _Array, label: int, z: _Array) -> None:
        """Cover the pixels `inside` a window."""
        self.rgb[at] = np.where(inside[..., None], rgb, self.rgb[at])
        self.ids[at] = np.where(inside, label, self.ids[at])
        self.depth[at] = np.where(inside, z, self.depth[at])

    def land(self, x: _Array, z: _Array) -> NDArray[np.int64]:
        """Class of the ground at (X, Z)."""
        road = self.has_road & (np.abs(x - self.bend * z * z) < self.half + self.verge)
        shore, far = self.shore
        if self.kind == "lake":
            wave = 1.5 * np.sin(x * 0.21 + far) + 0.8 * np.sin(x * 0.57)
            road, water = (z > 3.5) & (z < shore - 3) & self.has_road, (z > shore + wave) & (z < far)
        elif self.kind == "quay":
            water = (x * self.side > self.half + self.verge) & (x * self.side < far / 3)
        else:
            water = self.has_river & (np.abs(z - 2 * shore - 0.3 * x) < shore / 2) & ~road
        return np.select([water, road], [_WATER, _ROAD], _FIELD)


def _noise(rng: np.random.Generator, slope: float) -> _Array:
    """(256, 256) periodic noise with amplitude falling as frequency^-slope; mean 0, deviation 1."""
    rows, columns = np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)
    frequency = np.hypot(rows, columns) + 1 / 256
    tile = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((256, 256))) * frequency**-slope)
    return ((tile - tile.mean()) / tile.std()).astype(np.float32)


def _look(tile: _Array, u: _Array, v: _Array) -> _Array:
    """A tile at any coordinates, bilinear and repeated."""
    u, v = np.broadcast_arrays(u, v)
    column, row = np.floor(u).astype(np.int64), np.floor(v).astype(np.int64)
    a, b = (u - column).astype(np.float32), (v - row).astype(np.float32)
    x0, x1, y0, y1 = column & 255, (column + 1) & 255, row & 255, (row + 1) & 255
    top = tile[y0, x0] * (1 - a) + tile[y0, x1] * a
    return top * (1 - b) + (tile[y1, x0] * (1 - a) + tile[y1, x1] * a) * b


def _mix(a: _Array, b: _Array, share: _Array) -> _Array:
    return a + (b - a) * np.clip(share, 0, 1)[..., None]


def _everywhere(scene: _Scene) -> _Window:
    return slice(0, scene.height), slice(0, scene.width)


def _paint_sky(scene: _Scene) -> None:
    rise = np.maximum(scene.up, 0) / max(float(scene.up.max()), 1e-3)  # (H, 1), 0 at the horizon
    sky = _mix(scene.haze, scene.zenith, np.broadcast_to(rise**0.6, scene.ids.shape))
    plane = 1 / (np.maximum(scene.up, 0) + 0.06)  # clouds lie in a flat layer overhead
    offset = scene.rng.uniform(0, 256, 2)
    u, v = scene.right * plane * 16 + offset[0], plane * 22 + offset[1]
    cloud = _look(scene.soft, u, v)
    body = cloud + 0.25 * _look(scene.rough, u * 3, v * 3) - scene.rng.uniform(-0.8, 1.6)
    lit = 0.8 + 0.3 * np.tanh(cloud - _look(scene.soft, u - 9 * scene.light[0], v + 6))
    white = _mix(scene.haze, np.ones(3, np.float32), np.full((), 0.6, np.float32))
    scene.rgb[:] = _mix(sky, white * lit[..., None], body * scene.rng.uniform(0.5, 1.2))
    glow = np.exp(-np.hypot(scene.right - scene.light[0], scene.up - 0.25) / 0.25) * scene.sun
    scene.rgb += glow[..., None] * scene.haze * 0.6


def _ridge(scene: _Scene, height: float, scale: float) -> tuple[_Array, NDArray[np.bool_]]:
    """Height above a skyline in focal lengths (negative below it), and what lies below it."""
    u = scene.right * scale + scene.rng.uniform(0, 256)
    profile = 0.6 + 0.3 * _look(scene.soft, u, np.float32(scene.rng.integers(256)))
    profile = profile + 0.05 * _look(scene.rough, u * 4, np.float32(0.5))
    above = scene.up - height * np.maximum(profile, 0.05)
    return above, (above < 0) & (scene.up > -0.02)


def _paint_mountains(scene: _Scene) -> None:
    height = scene.rng.uniform(0.1, 0.34)
    above, inside = _ridge(scene, height, scene.rng.uniform(30, 70))
    u, v = scene.right * 120 + scene.rng.uniform(0, 256), above * 90
    slope = _look(scene.soft, u + v, v) - _look(scene.soft, u + v + 3, v - 1)
    grain = _look(scene.rough, u * 2, v * 3)
    rock = scene.colour(_ROCKS) * (0.8 + scene.sun * (2.2 * slope * scene.light[0])[..., None])
    rock = rock * (1 + 0.14 * grain[..., None])
    snow = (scene.up - scene.rng.uniform(0.1, 0.5)) * 30 + grain
    colour = _mix(rock, np.float32(0.9) + 0.5 * slope[..., None] * np.ones(3, np.float32), snow)
    distance = np.float32(scene.rng.uniform(500, 2500))
    scene.paint(_everywhere(scene), inside, colour, _MOUNTAIN, distance)


def _paint_forest(scene: _Scene) -> None:
    above, inside = _ridge(scene, scene.rng.uniform(0.03, 0.09), scene.rng.uniform(150, 400))
    u, v = scene.right * 350, scene.up * 420
    clumps = 0.6 * _look(scene.soft, u, v) + 0.5 * _look(scene.rough, u, v)
    shade = 0.75 + 0.22 * clumps + 4 * np.maximum(above, -0.05)
    colour = scene.near(scene.leaves, 0.15) * shade[..., None]
    scene.paint(_everywhere(scene), inside, colour, _VEGETATION, np.float32(scene.rng.uniform(150, 350)))


def _paint_ground(scene: _Scene) -> None:
    at = slice(min(int(scene.horizon) + 1, scene.height - 1), scene.height), slice(0, scene.width)
    z = -scene.eye / np.minimum(scene.up[at[0]], -1e-4)  # (h, 1)
    x = scene.right * z
    ids = scene.land(x, z)
    fade = 1 / (1 + 0.002 * z * z)  # far texture is finer than a pixel
    colours = {_FIELD: _field(scene, x, z, fade), _ROAD: _road(scene, x, z, fade)}
    colours[_WATER] = scene.colour(_WATERS) + np.zeros((*ids.shape, 1), np.float32)
    for label, colour in colours.items():
        scene.paint(at, ids == label, colour, label, z)


def _field(scene: _Scene, x: _Array, z: _Array, fade: _Array) -> _Array:
    base = scene.colour(_CROPS)
    other = scene.near(base, 0.25)
    patches = _look(scene.soft, x * 6, z * 6)
    blades = _look(scene.rough, x * 40 / (1 + z / 6), scene.up[-len(z) :] * 160) + 0.5 * patches
    colour = _mix(base, other, 0.5 + 0.6 * patches) * (1 + 0.22 * blades * (0.35 + fade))[..., None]
    if scene.chance(0.5):
        angle, period = scene.rng.uniform(-0.8, 0.8), scene.rng.uniform(0.7, 1.6)
        rows = np.sin(2 * np.pi * (x * np.cos(angle) + z * np.sin(angle)) / period + 0.4 * patches)
        colour = colour * (1 + 0.25 * rows * np.exp(-z / 25 / period))[..., None]
    return colour


def _road(scene: _Scene, x: _Array, z: _Array, fade: _Array) -> _Array:
    base = scene.colour(_PAVINGS)
    along, across = (x, z - scene.shore[0] / 2) if scene.kind == "lake" else (z, x - scene.bend * z * z)
    half = scene.half
    grain = _look(scene.rough, x * 45, z * 45) * fade + 0.7 * _look(scene.soft, x * 9, z * 4)
    colour = base * (1 + 0.09 * grain)[..., None]
    paved = np.abs(across) > half
    slabs = ((along % 1.2 < 0.08) | (np.abs(across) % 0.9 < 0.07)) * fade
    pavement = scene.near(base, 0.15) * (1.2 + 0.06 * grain - 0.3 * slabs)[..., None]
    colour = np.where(paved[..., None], pavement, colour)
    lines = (np.abs(across) < 0.09) & (along % 6 < 3)
    lines |= np.abs(np.abs(across) - half + 0.25) < 0.07
    lines = lines * scene.rng.choice([0.0, 0.8], p=[0.25, 0.75]) * np.exp(-z / 60)
    return _mix(colour, np.array([0.9, 0.9, scene.rng.choice([0.4, 0.9])], np.float32), lines)


def _solid(
    scene: _Scene,
    bounds: Sequence[tuple[float, float]],
    label: int,
    texture: Callable[..., _Array],
    cuts: Sequence[tuple[float, float, float, float]] = (),
) -> None:
    """Paint a box (ranges of X, V, Z), cut by half-spaces aX + bV + cZ <= d.

    A ray enters a convex solid where it last crosses a face towards the inside.
    """
    (x0, x1), (v0, v1), (z0, z1) = bounds
    z0 = max(z0, 0.6)
    at = scene.window((x0, x1), (v0, v1), (z0, max(z1, z0)))
    right, up = scene.right[:, at[1]], scene.up[at[0]]
    box = [(1, 0, 0, x1), (-1, 0, 0, -x0), (0, 1, 0, v1), (0, -1, 0, -v0), (0, 0, 1, z1), (0, 0, -1, -z0)]
    planes = np.array([*box, *cuts], np.float32)
    enter = np.zeros((up.shape[0], right.shape[1]), np.float32)
    leave, face = np.full_like(enter, _FAR), np.zeros(enter.shape, np.int64)
    for number, (a, b, c, d) in enumerate(planes):
        slope = a * right + b * up + c
        t = (d - b * scene.eye) / np.where(np.abs(slope) < 1e-7, 1e-7, slope)
        leave = np.where(slope > 0, np.minimum(leave, t), leave)
        face = np.where((slope < 0) & (t > enter), number, face)
        enter = np.where(slope < 0, np.maximum(enter, t), enter)
    normals = planes[:, :3] / np.linalg.norm(planes[:, :3], axis=1, keepdims=True)
    light = (1 - 0.6 * scene.sun + 1.1 * scene.sun * np.maximum(normals @ scene.light, 0))[face]
    x, v = right * enter, scene.eye + up * enter
    rgb = texture(x, v, enter, normals[face]) * light[..., None]
    scene.paint(at, (enter < leave) & (enter > 0.1), rgb.astype(np.float32), label, enter)


def _shadow(scene: _Scene, x: float, z: float, rx: float, rz: float) -> None:
    x = x - np.sign(scene.light[0]) * rx * 0.5 * scene.sun
    z0 = max(z - rz, 0.7)
    at = scene.window((x - rx, x + rx), (0, 0), (z0, max(z + rz, z0)))
    depth = scene.depth[at]
    distance = ((scene.right[:, at[1]] * depth - x) / rx) ** 2 + ((depth - z) / rz) ** 2
    dark = np.clip(1.3 - distance, 0, 1) * np.isin(scene.ids[at], (_ROAD, _FIELD))
    scene.rgb[at] *= (1 - (0.25 + 0.5 * scene.sun) * dark)[..., None]


def _building(scene: _Scene, x: tuple[float, float], z: tuple[float, float], height: float) -> None:
    wall = scene.near(scene.wall, 0.1) if scene.chance(0.3) else scene.colour(_WALLS)
    glass, frame, roof = scene.near(scene.zenith, 0.2) * 0.45, wall * 0.7, scene.colour(_WALLS) * 0.6
    step, floor = scene.rng.uniform(1.5, 3.0), scene.rng.uniform(2.6, 3.4)
    wide, tall = scene.rng.uniform(0.35, 0.75), scene.rng.uniform(0.4, 0.65)
    bright = scene.rng.uniform(0.6, 1.9, 251).astype(np.float32)

    def texture(px: _Array, v: _Array, pz: _Array, normal: _Array) -> _Array:
        along = np.where(np.abs(normal[..., 0]) > 0.5, pz - z[0], px - x[0])
        storey, column = np.floor(v / floor), np.floor(along / step)
        fy, fx = v / floor - storey, along / step - column
        grain = _look(scene.rough, along * 16, v * 30) / (1 + pz / 25) + _look(scene.soft, along * 3, v * 3)
        rgb = wall * (1 + 0.09 * grain - 0.15 * (fy < 0.06))[..., None]
        dy, dx = np.abs(fy - 0.55) * 2 / tall, np.abs(fx - 0.5) * 2 / wide
        free = (v < height - 0.4) & (pz < 130)
        rgb = np.where(((np.maximum(dx, dy) < 1.2) & free)[..., None], frame, rgb)
        pane = glass * bright[(storey * 37 + column * 11).astype(np.int64) % 251][..., None]
        cross = (np.abs(fx - 0.5) < 0.03) & (pz < 25)
        return np.where(((np.maximum(dx, dy) < 1) & free & ~cross)[..., None], pane, rgb)

    def tiles(px: _Array, v: _Array, pz: _Array, normal: _Array) -> _Array:
        rows = np.sin(v * 22) / (1 + pz / 12) + _look(scene.rough, px * 20, pz * 20) / (1 + pz / 20)
        gable = np.abs(normal[..., 2]) > 0.9
        return np.where(gable[..., None], wall, roof * (1 + 0.12 * rows)[..., None])

    _solid(scene, (x, (0, height), z), _BUILDING, texture)
    middle, rise = (x[0] + x[1]) / 2, scene.rng.uniform(0.4, 0.9) * (height < 9 or scene.chance(0.5))
    top = height + rise * (x[1] - x[0]) / 2
    if rise:
        cuts = [(s * rise, 1.0, 0.0, top + s * rise * middle) for s in (-1, 1)]
        _solid(scene, ((x[0] - 0.2, x[1] + 0.2), (height, top), z), _BUILDING, tiles, cuts)


def _tree(scene: _Scene, x: float, z: float, radius: float) -> None:
    shape = scene.rng.choice(3, p=[0.6, 0.25, 0.15])  # round, conifer, poplar or bush
    tall = radius * (1.1, 2.2, scene.rng.choice([0.6, 2.6]))[shape]
    stem = radius * scene.rng.uniform(0.3, 1.1) * (tall > radius)
    _shadow(scene, x, z, radius * 1.2, radius * 0.7)
    if stem:
        bark = np.array([0.3, 0.23, 0.18], np.float32) * scene.rng.uniform(0.5, 1.5)
        half = 0.05 * radius + 0.06
        trunk = ((x - half, x + half), (0, stem + tall), (z, z + 2 * half))
        _solid(scene, trunk, _VEGETATION, lambda px, v, pz, n: bark + 0 * px[..., None])
    at = scene.window((x - 1.4 * radius, x + 1.4 * radius), (0, stem + 2.4 * tall), (z, z))
    dx = (scene.right[:, at[1]] * z - x) / radius
    dy = (scene.eye + scene.up[at[0]] * z - stem - tall) / tall
    u, v = dx * 24 + scene.rng.uniform(0, 256), dy * 24 * tall / radius + scene.rng.uniform(0, 256)
    clumps, fine = _look(scene.soft, u * 1.6, v * 1.6), _look(scene.rough, u * 2, v * 2)
    edge = 1 - np.hypot(dx, dy) if shape != 1 else 0.55 - 0.5 * dy - np.abs(dx) + 0.1 * np.sin(14 * dy)
    inside = edge + 0.13 * clumps + 0.1 * fine > 0.08
    inside &= np.abs(dy) < 1.15
    slope = clumps - _look(scene.soft, u * 1.6 + 5 * scene.light[0], v * 1.6 + 4)
    shade = 0.85 + 0.3 * dy + scene.sun * (0.5 * dx * scene.light[0] + 0.45 * slope) + 0.2 * fine
    leaf = scene.near(scene.leaves, 0.12) * np.maximum(shade, 0.2)[..., None]
    scene.paint(at, inside, leaf.astype(np.float32), _VEGETATION, np.float32(z))


def _car(scene: _Scene, x: float, z: float, across: bool) -> None:
    paint, glass = scene.colour(_PAINTS), scene.near(scene.zenith, 0.1) * 0.3
    length, width, waist = scene.rng.uniform(3.8, 4.8), 1.8, scene.rng.uniform(0.8, 1.0)
    top, back = waist + scene.rng.uniform(0.5, 0.7), scene.rng.uniform(0.35, 1.2)
    lamp = np.array([[0.8, 0.05, 0.05], [0.95, 0.95, 0.85]][scene.rng.integers(2)], np.float32)

    def local(px: _Array, pz: _Array) -> tuple[_Array, _Array]:
        return (px - x, pz - z) if across else (pz - z, px - x)

    def body(px: _Array, v: _Array, pz: _Array, normal: _Array) -> _Array:
        along, aside = local(px, pz)
        flank = np.abs(normal[..., 0 if not across else 2]) > 0.5
        wheel = flank & (np.hypot(np.abs(along) - 0.31 * length, v - 0.32) < 0.36)
        hub = flank & (np.hypot(np.abs(along) - 0.31 * length, v - 0.32) < 0.18)
        end = ~flank & (np.abs(normal[..., 1]) < 0.5)
        rgb = paint * (0.9 + 0.25 * (v - 0.5))[..., None]
        rgb = np.where((flank & (np.abs(along + 0.1) < 0.02))[..., None], paint * 0.6, rgb)
        rgb = np.where((end & (np.abs(v - 0.62) < 0.09) & (np.abs(aside) > 0.5))[..., None], lamp, rgb)
        rgb = np.where((wheel | (v < 0.28))[..., None], np.float32(0.05), rgb)
        return np.where(hub[..., None], np.float32(0.5), rgb)

    def cabin(px: _Array, v: _Array, pz: _Array, normal: _Array) -> _Array:
        along, _ = local(px, pz)
        pillar = (np.abs(along) < 0.06) | (v > top - 0.07) | (normal[..., 1] > 0.95)
        return np.where(pillar[..., None], paint, glass * (1 + 0.6 * (v - waist))[..., None])

    half = (length / 2, width / 2) if across else (width / 2, length / 2)
    boxes = [((c - h * k), (c + h * k)) for c, h, k in ((x, half[0], 1), (z, half[1], 1))]
    _shadow(scene, x, z, half[0] * 1.25, half[1] * 1.1)
    _solid(scene, (boxes[0], (0.1, waist), boxes[1]), _CAR, body)
    slopes = [(s, back if s > 0 else 0.8, length * 0.36 + waist * (back if s > 0 else 0.8)) for s in (-1, 1)]
    cuts = [(s, b, 0.0, d + s * x) if across else (0.0, b, s, d + s * z) for s, b, d in slopes]
    inner = [(low + 0.1, high - 0.1) for low, high in boxes]
    _solid(scene, (inner[0], (waist, top), inner[1]), _CAR, cabin, cuts)


def _objects(scene: _Scene) -> list[tuple[float, Callable[[], None]]]:
    """What stands on the ground, with its distance."""
    rng, found = scene.rng, list[tuple[float, Callable[[], None]]]()

    def add(z: float, draw: Callable[..., None], *values: object) -> None:
        found.append((z, lambda: draw(scene, *values)))

    edge = scene.half + scene.verge
    for side in (-1, 1):
        lined = scene.kind == "street" or (scene.kind == "quay" and side != scene.side)
        z = rng.uniform(2, 14)
        while lined and z < 110:
            long, deep, gap = rng.uniform(6, 17), rng.uniform(7, 12), edge + rng.uniform(0.2, 1.5)
            near = (gap, gap + deep) if side > 0 else (-gap - deep, -gap)
            if scene.chance(0.85):
                add(z, _building, near, (z, z + long), rng.uniform(4.5, 15))
            z += long + rng.choice([0.0, 4.0])
    for _ in range(0 if scene.kind == "street" else rng.integers(0, 4)):
        spot = _free(scene, _FIELD, 25, 120)
        if spot:
            long = rng.uniform(6, 12)
            add(spot[1], _building, (spot[0], spot[0] + long), (spot[1], spot[1] + 8), rng.uniform(3, 6))
    for _ in range(rng.integers(2, 12)):
        spot = _free(scene, _FIELD, 7, 90) if scene.kind != "street" else None
        if scene.kind in ("street", "quay"):
            spot = rng.choice([-1, 1]) * (edge - 0.4), rng.uniform(7, 70)
        if spot:
            add(spot[1], _tree, *spot, rng.uniform(0.9, 2.6))
    for _ in range(rng.integers(0, 5) if scene.has_road else 0):
        z = rng.uniform(7, 35)
        x = scene.bend * z * z + rng.choice([-1, 1]) * rng.uniform(0.45, 0.62) * scene.half
        if scene.kind == "lake":
            x, z = rng.uniform(-4, 4), max(scene.shore[0] - 4.5, 5.0)
        add(z, _car, x, z, scene.kind == "lake")
    return found


def _free(scene: _Scene, label: int, z0: float, z1: float) -> tuple[float, float] | None:
    """A place (X, Z) in view whose ground has a class."""
    for _ in range(12):
        z = float(np.exp(scene.rng.uniform(np.log(z0), np.log(z1))))
        x = float(scene.rng.uniform(scene.right.min(), scene.right.max()) * z)
        around = scene.land(x + np.array([-3.0, 0, 3], np.float32), np.full(3, z, np.float32))
        if (around == label).all():
            return x, z
    return None


def _reflect(scene: _Scene) -> None:
    """Mirror what lies above the horizon in the water, broken by ripples."""
    rows, columns = np.nonzero(scene.ids == _WATER)
    z = scene.depth[rows, columns]
    x = scene.right[0, columns] * z
    ripple = _look(scene.rough, x * 5 + 0.4 * z, z * 14) + _look(scene.soft, x * 3, z * 9)
    ripple = ripple / (1 + 0.0006 * z * z)
    drop = rows - scene.horizon
    shift = 0.05 * scene.height * ripple * (0.15 + drop / scene.height)
    mirrored = np.clip(scene.horizon - drop - np.abs(shift) * 2, 0, scene.height - 1).astype(np.int64)
    aside = np.clip(columns + shift, 0, scene.width - 1).astype(np.int64)
    share = 0.25 + 0.5 * np.exp(-4 * drop / scene.height) + 0.12 * ripple
    water = scene.rgb[rows, columns] * (1 + 0.2 * ripple[:, None])
    scene.rgb[rows, columns] = _mix(water, scene.rgb[mirrored, aside], share)


def _develop(scene: _Scene) -> NDArray[np.uint8]:
    """Haze, exposure, colour cast, blur and sensor noise."""
    rng = scene.rng
    clear = np.exp(-scene.depth * rng.choice([0.0003, 0.0015, 0.012], p=[0.5, 0.35, 0.15]))
    clear = np.where(scene.ids == _SKY, 1, clear).astype(np.float32)
    rgb = _mix(scene.haze + np.zeros_like(scene.rgb), scene.rgb, clear).clip(0, 1.3)
    rgb = _mix(rgb.mean(axis=2, keepdims=True) + np.zeros(3, np.float32), rgb, np.float32(rng.uniform(0.5, 1)))
    rgb = rgb * rng.uniform(0.88, 1.12, 3) * rng.uniform(0.7, 1.25)
    levels = (255 * rgb.clip(0, 1) ** rng.uniform(0.75, 1.25)).astype(np.uint8)
    soft = Image.fromarray(levels).filter(ImageFilter.GaussianBlur(rng.uniform(0.35, 0.8)))
    noise = rng.standard_normal(rgb.shape, np.float32) * rng.uniform(1, 7)
    return (np.asarray(soft) + noise).clip(0, 255).astype(np.uint8)

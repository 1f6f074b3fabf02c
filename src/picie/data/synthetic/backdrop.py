"""Background and ground of synthetic scenes: sky, mountains, forest, fields, roads, water."""

import numpy as np
from numpy.typing import NDArray

from picie.data.synthetic.canvas import (
    CROPS,
    FIELD,
    MOUNTAIN,
    PAVINGS,
    ROAD,
    ROCKS,
    VEGETATION,
    WATER,
    WATERS,
    Floats,
    Scene,
    blend,
    look,
)

__all__ = ["paint_forest", "paint_ground", "paint_mountains", "paint_sky", "reflect"]

_WHITE = np.ones(3, np.float32)


def paint_sky(scene: Scene) -> None:
    """Paint the sky above the horizon: a gradient, a flat layer of clouds, a glow at the sun."""
    rows, up = _above(scene)
    rise = np.maximum(up, 0) / max(float(up.max()), 1e-3)  # (h, 1), 0 at the horizon
    sky = blend(scene.haze, scene.zenith, np.broadcast_to(rise**0.6, (len(up), scene.width)))
    plane = 1 / (np.maximum(up, 0) + 0.06)  # distance of the cloud layer
    offset = scene.rng.uniform(0, 256, 2).astype(np.float32)
    u, v = scene.right * plane * 16 + offset[0], plane * 22 + offset[1]
    cloud = look(scene.soft, u, v)
    body = cloud + 0.25 * look(scene.rough, u * 3, v * 3) - scene.rng.uniform(-0.8, 1.6)
    lit = 0.85 + 0.3 * np.tanh(cloud - look(scene.soft, u - 9 * scene.light[0], v + 6))
    sky = blend(
        sky, blend(scene.haze, _WHITE, 0.6) * lit[..., None], body * scene.rng.uniform(0.5, 1.2)
    )
    glow = np.exp(-np.hypot(scene.right - scene.light[0], up - 0.25) / 0.25) * scene.sun
    scene.rgb[rows] = sky + 0.6 * glow[..., None] * scene.haze


def paint_mountains(scene: Scene) -> None:
    """Paint mountains: rock with ridges lit from the side, often with snow."""
    rows, _ = _above(scene)
    above, inside = _skyline(scene, scene.rng.uniform(0.12, 0.36), scene.rng.uniform(10, 30), 0.015)
    u, v = scene.right * 90 + scene.rng.uniform(0, 256), above * 60
    slope = look(scene.soft, u + v, v) - look(scene.soft, u + v + 4, v - 1)
    grain = look(scene.rough, u * 2, v * 3)
    shade = 0.85 + (0.5 + scene.sun) * 1.3 * slope * scene.light[0] + 0.08 * grain
    rock = scene.colour(ROCKS) * shade[..., None]
    snow = (scene.up[rows] - scene.rng.uniform(0.1, 0.5)) * 30 + 0.7 * grain + slope * 4
    colour = blend(rock, (0.55 + 0.4 * shade)[..., None] * _WHITE, snow)
    scene.paint((rows, slice(None)), inside, colour, MOUNTAIN, scene.rng.uniform(500, 2500))


def paint_forest(scene: Scene) -> None:
    """Paint distant trees along the horizon."""
    rows, up = _above(scene)
    above, inside = _skyline(
        scene, scene.rng.uniform(0.03, 0.09), scene.rng.uniform(100, 300), 0.09
    )
    u, v = scene.right * 350, up * 420
    clumps = 0.6 * look(scene.soft, u, v) + 0.5 * look(scene.rough, u, v)
    shade = 0.8 + 0.22 * clumps + 4 * np.maximum(above, -0.05)
    colour = scene.near(scene.leaves, 0.15) * shade[..., None]
    scene.paint((rows, slice(None)), inside, colour, VEGETATION, scene.rng.uniform(150, 350))


def paint_ground(scene: Scene) -> None:
    """Paint the ground below the horizon by its class; water gets a plain colour."""
    first = min(int(scene.horizon) + 1, scene.height - 1)
    at = slice(first, scene.height), slice(0, scene.width)
    z = -scene.eye / np.minimum(scene.up[at[0]], np.float32(-1e-4))  # (h, 1)
    x = scene.right * z
    ids = scene.land(x, z)
    fade = 1 / (1 + 0.002 * z * z)  # distant texture is finer than a pixel
    scene.paint(at, ids == FIELD, _field(scene, x, z, fade), FIELD, z)
    if (ids == ROAD).any():
        scene.paint(at, ids == ROAD, _road(scene, x, z, fade), ROAD, z)
    scene.paint(at, ids == WATER, scene.colour(WATERS), WATER, z)


def reflect(scene: Scene) -> None:
    """Reflect the part above the horizon in the water, with ripples."""
    rows, columns = np.nonzero(scene.ids == WATER)
    z = scene.depth[rows, columns]
    x = scene.right[0, columns] * z
    ripple = look(scene.rough, x * 5 + 0.4 * z, z * 14) + look(scene.soft, x * 3, z * 9)
    ripple = ripple / (1 + 0.0006 * z * z)
    drop = (rows - scene.horizon).astype(np.float32)
    shift = 0.05 * scene.height * ripple * (0.15 + drop / scene.height)
    mirrored = np.clip(scene.horizon - drop - 2 * np.abs(shift), 0, scene.height - 1).astype(int)
    aside = np.clip(columns + shift, 0, scene.width - 1).astype(int)
    share = 0.25 + 0.5 * np.exp(-4 * drop / scene.height) + 0.12 * ripple
    water = scene.rgb[rows, columns] * (1 + 0.2 * ripple)[:, None]
    scene.rgb[rows, columns] = blend(water, scene.rgb[mirrored, aside], share)


def _above(scene: Scene) -> tuple[slice, Floats]:
    """Rows down to the horizon, and `Scene.up` of these rows (h, 1)."""
    rows = slice(0, min(int(scene.horizon) + 2, scene.height))
    return rows, scene.up[rows]


def _skyline(
    scene: Scene, height: float, scale: float, jag: float
) -> tuple[Floats, NDArray[np.bool_]]:
    """(h, W) height above a skyline per metre of depth, and the mask where it is negative."""
    u = scene.right * scale + scene.rng.uniform(0, 256)
    profile = 0.6 + 0.3 * look(scene.soft, u, float(scene.rng.integers(256)))
    profile = profile + jag * look(scene.rough, u * 4, 0.5)
    above = _above(scene)[1] - height * np.maximum(profile, 0.05)
    return above, above < 0


def _field(scene: Scene, x: Floats, z: Floats, fade: Floats) -> Floats:
    base = scene.colour(CROPS)
    other = scene.near(base, 0.1)
    patches = look(scene.soft, x * 6, z * 6)
    blades = look(scene.rough, x * 40 / (1 + z / 6), scene.up[-len(z) :] * 160) + 0.5 * patches
    shade = 1 + 0.17 * blades * (0.35 + fade)
    if scene.chance(0.5):
        angle, period = scene.rng.uniform(-0.8, 0.8), scene.rng.uniform(0.7, 1.6)
        across = (x * np.float32(np.cos(angle)) + z * np.float32(np.sin(angle))) / period
        rows = np.sin(2 * np.pi * across + 0.4 * patches)
        shade = shade * (1 + 0.25 * rows * np.exp(-z / 25 / period))
    colour: Floats = blend(base, other, 0.5 + patches) * shade[..., None]
    return colour


def _road(scene: Scene, x: Floats, z: Floats, fade: Floats) -> Floats:
    base = scene.colour(PAVINGS)
    along, across = np.broadcast_to(z, x.shape), x - scene.bend * z * z
    if scene.kind == "lake":
        along, across = x, np.broadcast_to(z - scene.shore / 2, x.shape)
    grain = look(scene.rough, x * 45, z * 45) * fade + 0.7 * look(scene.soft, x * 9, z * 4)
    beside = np.abs(across)
    slabs = ((along % 1.2 < 0.08) | (beside % 0.9 < 0.07)) * fade * (beside > scene.half)
    kerb = scene.rng.uniform(0.1, 0.35) * (beside > scene.half)
    colour = base * (1 + kerb + 0.09 * grain - 0.25 * slabs)[..., None]
    lines = (beside < 0.09) & (along % 6 < 3) | (np.abs(beside - scene.half + 0.25) < 0.07)
    strength = scene.rng.choice([0.0, 0.8], p=[0.25, 0.75]) * np.exp(-z / 60)
    paint = np.array([0.9, 0.9, scene.rng.choice([0.4, 0.9])], np.float32)
    return blend(colour, paint, lines * strength)

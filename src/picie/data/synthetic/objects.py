"""Objects in synthetic scenes: buildings, trees, cars."""

from collections.abc import Callable

import numpy as np

from picie.data.synthetic.canvas import (
    BUILDING,
    CAR,
    FIELD,
    LEAVES,
    PAINTS,
    ROAD,
    VEGETATION,
    WALLS,
    Floats,
    Scene,
    Texture,
    blend,
    look,
    paint_solid,
)

__all__ = ["paint_furniture"]

_Place = tuple[float, float]
_Queue = list[tuple[float, Callable[[], None]]]


def paint_furniture(scene: Scene) -> None:
    """Place the objects, and paint them from far to near."""
    queue: _Queue = []
    for side in (-1, 1):
        if scene.kind == "street" or (scene.kind == "quay" and side != scene.side):
            _add_row(scene, queue, side)
    if scene.kind != "street":
        _add_houses(scene, queue)
    _add_trees(scene, queue)
    if scene.road:
        _add_cars(scene, queue)
    for _, paint in sorted(queue, key=lambda item: -item[0]):
        paint()


def _add_row(scene: Scene, queue: _Queue, side: int) -> None:
    """Add buildings along one side of a street."""
    rng, z = scene.rng, float(scene.rng.uniform(2, 14))
    while z < 110:
        long, deep = rng.uniform(6, 17), rng.uniform(7, 12)
        edge = scene.half + scene.pavement + rng.uniform(0.2, 1.5)
        x = (edge, edge + deep) if side > 0 else (-edge - deep, -edge)
        if scene.chance(0.85):
            paint = _building(scene, x, (z, z + long), rng.uniform(4.5, 15))
            queue.append((z, paint))
        z += long + rng.choice([0.0, 4.0])


def _add_houses(scene: Scene, queue: _Queue) -> None:
    for _ in range(scene.rng.integers(0, 4)):
        place = _free_field(scene, 25, 120)
        if place:
            x, z = place
            wide, height = scene.rng.uniform(6, 12), scene.rng.uniform(3, 6)
            queue.append((z, _building(scene, (x, x + wide), (z, z + 8), height)))


def _add_trees(scene: Scene, queue: _Queue) -> None:
    rng = scene.rng
    for _ in range(rng.integers(2, 12)):
        place: _Place | None = None
        if scene.kind in ("street", "quay"):
            edge = scene.half + scene.pavement - 0.4
            place = float(rng.choice([-1, 1])) * edge, float(rng.uniform(7, 70))
        elif scene.kind != "street":
            place = _free_field(scene, 7, 90)
        if place:
            queue.append((place[1], _tree(scene, place, rng.uniform(0.9, 2.6))))


def _add_cars(scene: Scene, queue: _Queue) -> None:
    rng = scene.rng
    for slot in rng.permutation(4)[: rng.integers(0, 6)]:  # slots keep cars off each other
        z = 7 + 8 * slot + rng.uniform(0, 3)
        x = scene.bend * z * z + rng.choice([-1, 1]) * rng.uniform(0.45, 0.62) * scene.half
        if scene.kind == "lake":
            z = max(scene.shore - rng.uniform(4, 5), 5.0)
            x = (slot - 1.5) * 6.5 + rng.uniform(-0.8, 0.8)
        queue.append((z, _car(scene, (float(x), float(z)), across=scene.kind == "lake")))


def _free_field(scene: Scene, z0: float, z1: float) -> _Place | None:
    """A random visible place (X, Z) surrounded by field, or None."""
    for _ in range(12):
        z = float(np.exp(scene.rng.uniform(np.log(z0), np.log(z1))))
        x = float(scene.rng.uniform(scene.right.min(), scene.right.max()) * z)
        around = np.array([x - 3, x, x + 3], np.float32)
        if (scene.land(around, np.full(3, z, np.float32)) == FIELD).all():
            return x, z
    return None


def _building(scene: Scene, x: _Place, z: _Place, height: float) -> Callable[[], None]:
    wall = scene.colour(WALLS)
    facade = _facade(scene, wall, x[0], z[0], height)
    rise = scene.rng.uniform(0.4, 0.9) * (height < 9 or scene.chance(0.5))
    top, middle = height + rise * (x[1] - x[0]) / 2, (x[0] + x[1]) / 2
    tiles, roof = scene.colour(WALLS) * 0.65, (x[0] - 0.2, x[1] + 0.2)
    cuts = [(s * rise, 1.0, 0.0, top + s * rise * middle) for s in (-1, 1)]

    def cover(px: Floats, v: Floats, pz: Floats, normal: Floats) -> Floats:
        rows = np.sin(v * 22) / (1 + pz / 12) + look(scene.rough, px * 20, pz * 20) / (1 + pz / 20)
        gable = np.abs(normal[..., 2:]) > 0.9
        return np.where(gable, wall, tiles * (1 + 0.12 * rows)[..., None])

    def paint() -> None:
        paint_solid(scene, (x, (0, height), z), BUILDING, facade)
        if rise:
            paint_solid(scene, (roof, (height, top), z), BUILDING, cover, cuts)

    return paint


def _facade(scene: Scene, wall: Floats, x0: float, z0: float, height: float) -> Texture:
    """Plaster with a grid of windows."""
    rng = scene.rng
    glass, frame = scene.near(scene.zenith, 0.2) * 0.45, wall * 0.7
    step, floor = rng.uniform(1.5, 3.0), rng.uniform(2.6, 3.4)
    wide, tall = rng.uniform(0.35, 0.75), rng.uniform(0.4, 0.65)
    panes = glass * rng.uniform(0.6, 1.9, (251, 1)).astype(np.float32)

    def texture(px: Floats, v: Floats, pz: Floats, normal: Floats) -> Floats:
        along = np.where(np.abs(normal[..., 0]) > 0.5, pz - z0, px - x0)
        storey, column = np.floor(v / floor), np.floor(along / step)
        fy, fx = v / floor - storey, along / step - column
        grain = look(scene.rough, along * 16, v * 30) / (1 + pz / 25)
        grain = grain + look(scene.soft, along * 3, v * 3)
        rgb = wall * (1 + 0.09 * grain - 0.15 * (fy < 0.06))[..., None]
        off = np.maximum(np.abs(fy - 0.55) * 2 / tall, np.abs(fx - 0.5) * 2 / wide)
        off = np.where((v < height - 0.4) & (pz < 130), off, 2)
        pane = panes[(storey * 37 + column * 11).astype(np.int64) % 251]
        cross = (np.abs(fx - 0.5) < 0.03) & (pz < 25)
        rgb = np.where((off < 1.2)[..., None], frame, rgb)
        return np.where(((off < 1) & ~cross)[..., None], pane, rgb)

    return texture


def _tree(scene: Scene, place: _Place, radius: float) -> Callable[[], None]:
    x, z = place
    rng = scene.rng
    conifer = scene.chance(0.25)
    tall = radius * (2.2 if conifer else rng.choice([1.1, 0.6, 2.6], p=[0.8, 0.1, 0.1]))
    stem = radius * rng.uniform(0.3, 1.1) * (tall > radius)
    bark = np.array([0.3, 0.23, 0.18], np.float32) * rng.uniform(0.5, 1.5)
    half = 0.05 * radius + 0.06
    leaves = scene.near(scene.leaves if scene.chance(0.8) else scene.colour(LEAVES), 0.12)
    offset = rng.uniform(0, 256, 2).astype(np.float32)

    def paint() -> None:
        _shadow(scene, place, radius * 1.2, radius * 0.7)
        if stem:
            trunk = ((x - half, x + half), (0, stem + tall), (z, z + 2 * half))
            paint_solid(scene, trunk, VEGETATION, lambda px, *_: bark + 0 * px[..., None])
        at = scene.window((x - 1.5 * radius, x + 1.5 * radius), (0, stem + 2.4 * tall), (z, z))
        dx = (scene.right[:, at[1]] * z - x) / radius
        dy = (scene.eye + scene.up[at[0]] * z - stem - tall) / tall
        u, v = dx * 24 + offset[0], dy * 24 * (tall / radius) + offset[1]
        clumps, fine = look(scene.soft, u * 1.6, v * 1.6), look(scene.rough, u * 2, v * 2)
        edge = 0.55 - 0.5 * dy - np.abs(dx) + 0.1 * np.sin(14 * dy)
        edge = edge if conifer else 1 - np.hypot(dx, dy)
        inside = (edge + 0.13 * clumps + 0.1 * fine > 0.08) & (np.abs(dy) < 1.15)
        slope = clumps - look(scene.soft, u * 1.6 + 5 * scene.light[0], v * 1.6 + 4)
        lit = scene.sun * (0.5 * dx * scene.light[0] + 0.45 * slope)
        shade = np.maximum(0.9 + 0.25 * dy + lit + 0.2 * fine, 0.2)
        scene.paint(at, inside, leaves * shade[..., None], VEGETATION, z)

    return paint


def _car(scene: Scene, place: _Place, *, across: bool) -> Callable[[], None]:
    rng = scene.rng
    x, z = place
    length, waist = rng.uniform(3.8, 4.8), rng.uniform(0.8, 1.0)
    top, rear = waist + rng.uniform(0.5, 0.7), rng.uniform(0.35, 1.2)
    colour, glass = scene.colour(PAINTS), scene.near(scene.zenith, 0.1) * 0.3
    body = _bodywork(scene, place, across, length, colour)
    sides = [(x, length / 2), (z, 0.9)] if across else [(x, 0.9), (z, length / 2)]
    outer = [(centre - half, centre + half) for centre, half in sides]
    inner = [(low + 0.1, high - 0.1) for low, high in outer]
    cuts = []
    for sign, lean in ((-1, 0.8), (1, rear)):  # windscreen and rear window
        reach = 0.36 * length + waist * lean + sign * (x if across else z)
        cuts.append((sign, lean, 0.0, reach) if across else (0.0, lean, sign, reach))

    def cabin(px: Floats, v: Floats, pz: Floats, normal: Floats) -> Floats:
        along = px - x if across else pz - z
        pillar = (np.abs(along) < 0.06) | (v > top - 0.07) | (normal[..., 1] > 0.95)
        panes = glass * (1 + 0.6 * (v - waist))[..., None]
        return np.where(pillar[..., None], colour, panes)

    def paint() -> None:
        _shadow(scene, place, sides[0][1] * 1.25, sides[1][1] * 1.1)
        paint_solid(scene, (outer[0], (0.1, waist), outer[1]), CAR, body)
        paint_solid(scene, (inner[0], (waist, top), inner[1]), CAR, cabin, cuts)

    return paint


def _bodywork(scene: Scene, place: _Place, across: bool, length: float, colour: Floats) -> Texture:
    """Car paint, with wheels and a door on the sides, and lamps at both ends."""
    lamps = np.array([[0.8, 0.05, 0.05], [0.95, 0.95, 0.85]], np.float32)
    lamp = lamps[scene.rng.integers(2)]
    x, z = place

    def texture(px: Floats, v: Floats, pz: Floats, normal: Floats) -> Floats:
        along, aside = (px - x, pz - z) if across else (pz - z, px - x)
        flank = np.abs(normal[..., 2 if across else 0]) > 0.5
        end = ~flank & (np.abs(normal[..., 1]) < 0.5)
        hub = np.where(flank, np.hypot(np.abs(along) - 0.31 * length, v - 0.32), 9)
        rgb = colour * (0.9 + 0.25 * (v - 0.5))[..., None]
        lights = end & (np.abs(v - 0.62) < 0.09) & (np.abs(aside) > 0.5)
        rgb = np.where((flank & (np.abs(along + 0.1) < 0.02))[..., None], colour * 0.6, rgb)
        rgb = np.where(lights[..., None], lamp, rgb)
        rgb = np.where(((hub < 0.36) | (v < 0.28))[..., None], np.float32(0.05), rgb)
        return np.where((hub < 0.18)[..., None], np.float32(0.5), rgb)

    return texture


def _shadow(scene: Scene, place: _Place, rx: float, rz: float) -> None:
    """Darken the ground below an object, on the side away from the sun; radii in metres."""
    x, z = place[0] - np.sign(scene.light[0]) * rx * 0.5 * scene.sun, place[1]
    near = max(z - rz, 0.7)
    at = scene.window((x - rx, x + rx), (0, 0), (near, max(z + rz, near)))
    depth = scene.depth[at]
    distance = ((scene.right[:, at[1]] * depth - x) / rx) ** 2 + ((depth - z) / rz) ** 2
    dark = np.clip(1.3 - distance, 0, 1) * np.isin(scene.ids[at], (ROAD, FIELD))
    scene.rgb[at] = blend(scene.rgb[at], np.zeros(3, np.float32), dark * (0.25 + 0.5 * scene.sun))

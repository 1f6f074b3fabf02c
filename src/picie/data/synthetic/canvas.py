"""One synthetic scene: camera, light, layout of the ground, canvas and convex solids.

Coordinates are in metres: X to the right, V up from flat ground, Z away from the camera. The point
visible at a pixel is (right * Z, eye + up * Z, Z), so texturing needs only a depth per pixel.
"""

import colorsys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BUILDING",
    "CAR",
    "CROPS",
    "FAR",
    "FIELD",
    "LEAVES",
    "MOUNTAIN",
    "PAINTS",
    "PAVINGS",
    "ROAD",
    "ROCKS",
    "SKY",
    "VEGETATION",
    "WALLS",
    "WATER",
    "WATERS",
    "Floats",
    "Scene",
    "Texture",
    "blend",
    "look",
    "paint_solid",
]

SKY, BUILDING, ROAD, VEGETATION, WATER, MOUNTAIN, CAR, FIELD = range(8)
FAR = 1e4
"""Depth of the sky, in metres."""

Floats = NDArray[np.floating[Any]]
Texture = Callable[[Floats, Floats, Floats, Floats], Floats]
"""Colours (h, w, 3) of surface points, from X, V, Z (h, w) and their normals (h, w, 3)."""

_Window = tuple[slice, slice]
_Palette = tuple[tuple[float, ...], ...]

# Ranges of hue, saturation and value; one row is chosen for each scene or object.
_ZENITHS: _Palette = (
    (0.57, 0.63, 0.25, 0.55, 0.65, 0.95),
    (0, 1, 0, 0.08, 0.55, 0.85),
    (0.6, 0.75, 0.15, 0.4, 0.5, 0.75),
)
_HAZES: _Palette = (
    (0.54, 0.6, 0.03, 0.15, 0.85, 0.98),
    (0.04, 0.12, 0.15, 0.5, 0.85, 0.98),
    (0, 1, 0, 0.06, 0.7, 0.95),
)
LEAVES: _Palette = (
    (0.22, 0.36, 0.35, 0.7, 0.25, 0.5),
    (0.22, 0.36, 0.35, 0.7, 0.25, 0.5),
    (0.03, 0.13, 0.5, 0.8, 0.4, 0.7),
    (0.13, 0.2, 0.3, 0.6, 0.3, 0.55),
    (0.38, 0.48, 0.2, 0.5, 0.2, 0.4),
    (0.9, 0.98, 0.15, 0.4, 0.55, 0.8),
)
CROPS: _Palette = (
    (0.2, 0.33, 0.35, 0.65, 0.35, 0.65),
    (0.2, 0.33, 0.35, 0.65, 0.35, 0.65),
    (0.1, 0.15, 0.35, 0.65, 0.6, 0.85),
    (0.04, 0.09, 0.3, 0.55, 0.3, 0.55),
    (0.75, 0.85, 0.15, 0.35, 0.4, 0.65),
    (0.55, 0.65, 0, 0.05, 0.75, 0.9),
)
ROCKS: _Palette = (
    (0, 1, 0, 0.12, 0.35, 0.65),
    (0.04, 0.09, 0.2, 0.45, 0.35, 0.6),
    (0.22, 0.35, 0.2, 0.45, 0.25, 0.5),
    (0.58, 0.7, 0.15, 0.4, 0.35, 0.6),
)
WALLS: _Palette = (
    (0, 1, 0.05, 0.4, 0.5, 0.9),
    (0, 0.06, 0.4, 0.65, 0.4, 0.7),
    (0, 1, 0, 0.06, 0.75, 0.95),
    (0.08, 0.13, 0.2, 0.45, 0.6, 0.85),
    (0, 1, 0.1, 0.4, 0.25, 0.45),
)
PAVINGS: _Palette = (
    (0, 1, 0, 0.08, 0.25, 0.65),
    (0.06, 0.1, 0.2, 0.45, 0.4, 0.65),
    (0, 0.03, 0.1, 0.3, 0.35, 0.55),
)
WATERS: _Palette = (
    (0.52, 0.62, 0.3, 0.6, 0.3, 0.55),
    (0.35, 0.48, 0.2, 0.5, 0.25, 0.45),
    (0.07, 0.13, 0.2, 0.5, 0.3, 0.5),
    (0, 1, 0, 0.1, 0.35, 0.6),
)
PAINTS: _Palette = ((0, 1, 0.5, 0.9, 0.3, 0.9), (0, 1, 0, 0.05, 0.08, 0.95))


class Scene:
    """Camera, light, layout of the ground, and canvas of one scene.

    Attributes:
        rng: random generator of the scene.
        right: (1, W) X per metre of depth, for each column.
        up: (H, 1) V minus eye height per metre of depth, for each row.
        rgb: (H, W, 3) colours painted so far, about 0..1.
        ids: (H, W) uint8 classes painted so far.
        depth: (H, W) metres.
        rough: a tile of fine noise, for `look`.
        soft: a tile of coarse noise, for `look`.
        kind: "street", "country", "lake" or "quay".
    """

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        """Draw camera, light and layout; `size` is (H, W) in pixels."""
        self.rng = rng
        self.height, self.width = size
        self.horizon = self.height * rng.uniform(0.32, 0.55)
        self.centre = self.width * rng.uniform(0.3, 0.7)
        self.focal = self.width * rng.uniform(0.75, 1.1)
        self.eye = rng.uniform(1.6, 3.2)
        y, x = np.ogrid[0 : self.height, 0 : self.width]
        self.right: Floats = ((x + 0.5 - self.centre) / self.focal).astype(np.float32)
        self.up: Floats = ((self.horizon - y - 0.5) / self.focal).astype(np.float32)
        self.rgb: Floats = np.zeros((*size, 3), np.float32)
        self.ids = np.zeros(size, np.uint8)
        self.depth: Floats = np.full(size, FAR, np.float32)
        self.rough, self.soft = _noise(rng, 0.7), _noise(rng, 1.7)
        self._light()
        self._land()

    def _light(self) -> None:
        rng = self.rng
        towards = np.array([rng.choice([-1, 1]) * rng.uniform(0.3, 1.2), 0.8, -0.5], np.float32)
        self.light = towards / np.linalg.norm(towards)
        self.sun = float(rng.uniform(0.1, 0.7))  # share of direct light
        self.haze, self.zenith = self.colour(_HAZES), self.colour(_ZENITHS)
        self.leaves = self.colour(LEAVES)

    def _land(self) -> None:
        rng = self.rng
        kinds = ["street", "country", "lake", "quay"]
        self.kind = str(rng.choice(kinds, p=[0.25, 0.22, 0.28, 0.25]))
        self.half = float(rng.uniform(2.2, 3.8))  # half the width of the road
        self.pavement = float(rng.uniform(1.0, 3.0)) * (self.kind in ("street", "quay"))
        self.bend = float(rng.uniform(-1, 1)) * 0.004 * (self.kind == "country")
        self.side = int(rng.choice([-1, 1]))  # of the water along a quay
        self.shore, self.far_shore = float(rng.uniform(8, 22)), float(rng.uniform(60, 250))
        self.road = self.kind in ("street", "quay") or self.chance(0.75)
        self.river = self.kind == "country" and self.chance(0.35)

    def chance(self, p: float) -> bool:
        """True with probability p."""
        return bool(self.rng.random() < p)

    def colour(self, palette: _Palette) -> Floats:
        """(3,) RGB from one row of a palette."""
        ranges = np.reshape(palette[self.rng.integers(len(palette))], (3, 2))
        hue, saturation, value = self.rng.uniform(*ranges.T)
        return np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)

    def near(self, colour: Floats, spread: float) -> Floats:
        """(3,) RGB close to another colour; `spread` is the relative standard deviation."""
        return (colour * self.rng.normal(1, spread, 3)).clip(0.02, 0.98).astype(np.float32)

    def window(self, x: Sequence[float], v: Sequence[float], z: Sequence[float]) -> _Window:
        """Rows and columns covered by a box with these corner coordinates; may be empty."""
        columns = self.centre + self.focal * np.divide.outer(x, z)
        rows = self.horizon - self.focal * np.divide.outer(np.subtract(v, self.eye), z)
        low = np.clip([rows.min() - 1, columns.min() - 1], 0, self.ids.shape).astype(int)
        high = np.clip([rows.max() + 2, columns.max() + 2], 0, self.ids.shape).astype(int)
        return slice(low[0], high[0]), slice(low[1], high[1])

    def paint(
        self,
        at: _Window,
        inside: NDArray[np.bool_],
        rgb: Floats,
        label: int,
        depth: Floats | float,
    ) -> None:
        """Set colours (h, w, 3), class and depth of the pixels `inside` a window."""
        np.copyto(self.rgb[at], rgb, where=inside[..., None], casting="same_kind")
        np.copyto(self.ids[at], label, where=inside, casting="unsafe")
        np.copyto(self.depth[at], depth, where=inside, casting="same_kind")

    def land(self, x: Floats, z: Floats) -> NDArray[np.int64]:
        """Class of the ground at (X, Z)."""
        reach = self.half + self.pavement
        road = self.road & (np.abs(x - self.bend * z * z) < reach)
        if self.kind == "lake":  # the road runs across, in front of the shore
            wave = 1.5 * np.sin(x * 0.21 + self.far_shore) + 0.8 * np.sin(x * 0.57)
            road = self.road & (np.abs(z - self.shore / 2) < self.shore / 2 - 3) & (z > 3.5)
            water = (z > self.shore + wave) & (z < self.far_shore)
        elif self.kind == "quay":
            water = (x * self.side > reach) & (x * self.side < self.far_shore / 2)
        else:
            banks = np.abs(z - 2 * self.shore - 0.3 * x) < self.shore / 2
            water = self.river & banks & ~road
        return np.select([water, road], [WATER, ROAD], FIELD)


def look(tile: Floats, u: Floats | float, v: Floats | float) -> Floats:
    """Sample a noise tile at coordinates (column u, row v): bilinear, periodic."""
    u, v = np.broadcast_arrays(np.asarray(u, np.float32), np.asarray(v, np.float32))
    column, row = np.floor(u), np.floor(v)
    place = ((row.astype(np.int64) & 255) << 8) | (column.astype(np.int64) & 255)
    here, below, right, across = (corner.take(place) for corner in tile)
    share = u - column
    here, below = here + (right - here) * share, below + (across - below) * share
    values: Floats = here + (below - here) * (v - row)
    return values


def blend(a: Floats, b: Floats, share: Floats | float) -> Floats:
    """Interpolate colours from a (share 0) to b (share 1); shares (h, w) are clipped to [0, 1]."""
    return a + (b - a) * np.clip(np.asarray(share, np.float32), 0, 1)[..., None]


def paint_solid(
    scene: Scene,
    bounds: Sequence[tuple[float, float]],
    label: int,
    texture: Texture,
    cuts: Sequence[tuple[float, float, float, float]] = (),
) -> None:
    """Paint a box, cut by half-spaces aX + bV + cZ <= d.

    A ray enters a convex solid at the last plane that it crosses inwards, and leaves it at the
    first plane that it crosses outwards; it misses the solid if it leaves before it enters.

    Args:
        scene: the scene to paint on.
        bounds: ranges of X, V and Z.
        label: class of the solid.
        texture: colours of its surface, without lighting.
        cuts: (a, b, c, d) of each half-space.
    """
    (x0, x1), (v0, v1), (z0, z1) = bounds
    z0 = max(z0, 0.6)  # points beside or behind the camera cannot be projected
    at = scene.window((x0, x1), (v0, v1), (z0, max(z1, z0)))
    right, up = scene.right[:, at[1]], scene.up[at[0]]
    if not right.size or not up.size:
        return
    planes = _planes((x0, x1), (v0, v1), (z0, z1), cuts)
    enter = np.zeros((up.shape[0], right.shape[1]), np.float32)
    leave, face = np.full_like(enter, FAR), np.zeros(enter.shape, np.int64)
    for number, (a, b, c, d) in enumerate(planes):
        slope, room = a * right * bool(a) + b * up * bool(b) + c, d - b * np.float32(scene.eye)
        if room >= 0:  # the camera is on the inner side: the ray can only leave here
            np.minimum(leave, room / np.maximum(slope, np.float32(1e-7)), out=leave)
        else:
            z = room / np.minimum(slope, np.float32(-1e-7))
            face[z > enter] = number
            np.maximum(enter, z, out=enter)
    normals = planes[:, :3] / np.linalg.norm(planes[:, :3], axis=1, keepdims=True)
    light = 1 - 0.6 * scene.sun + 1.1 * scene.sun * np.maximum(normals @ scene.light, 0)
    rgb = texture(right * enter, scene.eye + up * enter, enter, normals[face])
    inside = (enter < leave) & (enter > 0.1)
    scene.paint(at, inside, rgb * light.astype(np.float32)[face][..., None], label, enter)


def _planes(
    x: Sequence[float],
    v: Sequence[float],
    z: Sequence[float],
    cuts: Sequence[tuple[float, float, float, float]],
) -> Floats:
    """(6 + cuts, 4) half-spaces whose intersection is the solid."""
    high = [(1, 0, 0, x[1]), (0, 1, 0, v[1]), (0, 0, 1, z[1])]
    low = [(-1, 0, 0, -x[0]), (0, -1, 0, -v[0]), (0, 0, -1, -z[0])]
    return np.array([*high, *low, *cuts], np.float32)


def _noise(rng: np.random.Generator, slope: float) -> Floats:
    """(4, 65536) noise of mean 0 and standard deviation 1, with amplitude frequency^-slope.

    Column 256 * r + c holds the points (r, c), (r + 1, c), (r, c + 1) and (r + 1, c + 1) of a
    periodic tile of 256 x 256 points: the four points that `look` interpolates.
    """
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)) + 1 / 256
    tile = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((256, 256))) * frequency**-slope)
    tile = (tile - tile.mean()) / tile.std()
    tile = tile.astype(np.float32)
    return np.stack([np.roll(tile, (-r, -c), (0, 1)).ravel() for c in (0, 1) for r in (0, 1)])

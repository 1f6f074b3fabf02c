"""Synthetic street, country and waterside scenes with exact class masks.

The scenes are generated from random numbers alone. They contain no part of any photograph and may
be distributed freely.

Colour, light, weather and camera vary more between scenes than between classes, so classes differ
in texture, shape and position rather than in mean colour.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from picie.data.synthetic.backdrop import (
    paint_forest,
    paint_ground,
    paint_mountains,
    paint_sky,
    reflect,
)
from picie.data.synthetic.canvas import SKY, Scene, blend
from picie.data.synthetic.objects import paint_furniture
from picie.runtime.random import Stream, numpy_generator

__all__ = ["CLASSES", "draw_scene", "write_scenes"]

CLASSES = ("sky", "building", "road", "vegetation", "water", "mountain", "car", "field")
"""Class names in the order of their ids."""


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
        out: the folder, created if missing; files of the same names are replaced.
        train: scenes named in train.txt.
        val: scenes named in val.txt, numbered after those of train.
        size: (H, W) in pixels.
        seed: 0 or more; scene i depends on (seed, i) and `size` only.

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
        seed: seed of the set, 0 or more.
        index: number of the scene, 0 or more.
        size: (H, W) in pixels.

    Returns:
        The image (H, W, 3) uint8 RGB, and its class ids (H, W) uint8, indices into `CLASSES`.
    """
    scene = Scene(numpy_generator(Stream.SCENES, seed, index), size)
    paint_sky(scene)
    for _ in range(scene.rng.choice(3, p=[0.4, 0.35, 0.25])):
        paint_mountains(scene)
    if scene.chance(0.6):
        paint_forest(scene)
    paint_ground(scene)
    paint_furniture(scene)
    reflect(scene)
    return _develop(scene), scene.ids


def _develop(scene: Scene) -> NDArray[np.uint8]:
    """Apply haze, desaturation, colour cast, exposure, gamma, lens blur and sensor noise."""
    rng = scene.rng
    fog = rng.choice([0.0003, 0.0015, 0.012], p=[0.5, 0.35, 0.15])
    clear = 0.25 + 0.75 * np.exp(-scene.depth * np.float32(fog))  # labelled objects stay visible
    clear = np.where(scene.ids == SKY, 1, clear)
    rgb = blend(scene.haze, scene.rgb, clear)
    rgb = blend(rgb @ np.full((3, 1), 1 / 3, np.float32), rgb, rng.uniform(0.55, 1.0))
    gains = rng.uniform(0.9, 1.1, 3) * rng.uniform(0.75, 1.2)
    linear = (255 * gains.astype(np.float32) * rgb).clip(0, 255).astype(np.uint8)
    curve = 255 * np.linspace(0, 1, 256) ** rng.uniform(0.7, 1.1)
    sharp = Image.fromarray(curve.astype(np.uint8)[linear])
    blurred = np.asarray(sharp.filter(ImageFilter.GaussianBlur(rng.uniform(0.35, 0.8))))
    noise = rng.standard_normal(rgb.shape, np.float32) * np.float32(rng.uniform(1, 7))
    levels: NDArray[np.uint8] = (blurred + noise).clip(0, 255).astype(np.uint8)
    return levels

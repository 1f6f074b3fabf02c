"""Synthetic street, country and waterside scenes with exact class masks.

The scenes are generated from random numbers alone. They contain no part of any photograph and may
be distributed freely.

Colour, light, weather and camera vary more between scenes than between classes, so classes differ
in texture, shape and position rather than in mean colour.
"""

import io
import json
import os
import re
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
from picie.errors import DataError
from picie.runtime.documents import read_json
from picie.runtime.files import write_atomically
from picie.runtime.outputs import digest_of, list_files
from picie.runtime.random import Stream, numpy_generator
from picie.version import __version__

__all__ = ["CLASSES", "draw_scene", "is_marked", "other_file", "write_scenes"]

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

    A hidden file lists them, so that changes are noticed.

    Args:
        out: the folder, created if missing; files of the same names are replaced.
        train: scenes named in train.txt.
        val: scenes named in val.txt, numbered after those of train.
        size: (H, W) in pixels.
        seed: 0 or more; scene i depends on (seed, i) and `size` only.

    Returns:
        The folder.

    Raises:
        PicieError: a file cannot be written.
    """
    out = Path(out)
    for name in ("images", "masks"):
        (out / name).mkdir(parents=True, exist_ok=True)
    names = [f"scene_{index:04d}" for index in range(train + val)]
    lists = {"classes": CLASSES, "train": names[:train], "val": names[train:]}
    for name, lines in lists.items():
        _write(out / f"{name}.txt", "".join(f"{line}\n" for line in lines).encode())
    for index, name in enumerate(names):
        image, mask = draw_scene(seed, index, size)
        _write(out / "images" / f"{name}.jpg", _encoded(image, "JPEG", quality=92))
        _write(out / "masks" / f"{name}.png", _encoded(mask, "PNG"))
    digests = {name: digest_of(out / name) for name in sorted(list_files(out)) if name != _MARK}
    mark = {"picie": __version__, "files": digests}
    _write(out / _MARK, json.dumps(mark).encode())
    return out


def _encoded(values: NDArray[np.uint8], kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, kind, **options)
    return file.getvalue()


def _write(path: Path, data: bytes) -> None:
    write_atomically(path, data, durable=False)


_MARK = ".picie-scenes.json"
_WRITTEN = re.compile(r"images/scene_\d{4,}\.jpg|masks/scene_\d{4,}\.png|(classes|train|val)\.txt")


def other_file(folder: Path, *, but: tuple[str, ...] = ()) -> str:
    """A file that `write_scenes` did not write to a folder, or that was changed since.

    Args:
        folder: it may be missing.
        but: paths inside it that do not count.

    Returns:
        its path inside the folder; "" if there is none.
    """
    if not folder.is_dir():
        return folder.name if os.path.lexists(folder) else ""
    names = sorted(name for name in list_files(folder) if name not in (_MARK, *but))
    if is_marked(folder):
        written = read_json(folder / _MARK, DataError, most=_MOST_BYTES).get("files")
        known = written if isinstance(written, dict) else {}
        return next((name for name in names if known.get(name) != digest_of(folder / name)), "")
    # Of an early version, or incomplete.
    lists = folder / "classes.txt"
    ours = lists.is_file() and lists.read_text("utf-8").split() == list(CLASSES)
    return next((name for name in names if not (ours and _WRITTEN.fullmatch(name))), "")


def is_marked(folder: Path) -> bool:
    """Whether a folder holds complete scenes of this version or a later one."""
    return (folder / _MARK).is_file()


_MOST_BYTES = 50_000_000  # of a mark, which lists the files


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

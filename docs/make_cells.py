"""Draw stained cells with their labels, for docs/gallery.md, and its picture of them.

    python docs/make_cells.py FOLDER             # 48 images, masks, classes.txt, splits
    python docs/make_cells.py FOLDER --run RUN   # docs/images/cells.png, by a model with names

The cells are drawn: labels are exact, and the picture may be published. Real stains vary more.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

import picie
from picie.visualization.sheet import write_sheet

__all__ = ["draw", "main", "write"]

CLASSES = ("background", "red cell", "white cell", "nucleus")
_COLOURS = np.array([[238, 226, 226], [214, 152, 158], [196, 182, 214], [104, 62, 132]], float)
_SIDE, _TRAIN, _VAL = 320, 36, 12
_OUT = Path(__file__).parent / "images" / "cells.png"


def draw(rng: np.random.Generator) -> tuple[Image.Image, NDArray[np.uint8]]:
    """A smear of blood: (320, 320) RGB, and the ids of its pixels."""
    ids = np.zeros((_SIDE, _SIDE), np.uint8)
    y, x = np.mgrid[:_SIDE, :_SIDE]
    shade = np.zeros((_SIDE, _SIDE))
    for white in [*[False] * int(rng.integers(25, 45)), *[True] * int(rng.integers(1, 4))]:
        middle, radius = (
            rng.uniform(0, _SIDE, 2),
            rng.uniform(24, 32) if white else rng.uniform(13, 18),
        )
        stretch, turn = rng.uniform(0.85, 1.15), rng.uniform(0, np.pi)
        dy, dx = y - middle[0], x - middle[1]
        along, across = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
        distance = np.hypot(along * stretch, across / stretch) / radius
        ids[distance < 1] = 2 if white else 1
        if white:  # a nucleus of two or three lobes
            for lobe in rng.normal(0, radius * 0.3, (int(rng.integers(2, 4)), 2)):
                ids[np.hypot(dy - lobe[0], dx - lobe[1]) < radius * 0.38] = 3
        else:  # thin in the middle
            shade = np.where(distance < 1, 28 * np.exp(-((distance / 0.4) ** 2)), shade)
    light = rng.uniform(0.85, 1.1) * (1 + 0.15 * (x / _SIDE - 0.5) * rng.uniform(-1, 1))
    image = (_COLOURS[ids] + shade[..., None] * (ids == 1)[..., None]) * light[..., None]
    image += rng.normal(0, 7, image.shape) + rng.normal(0, 5, 3)
    drawn = Image.fromarray(image.clip(0, 255).astype(np.uint8))
    return drawn.filter(ImageFilter.GaussianBlur(1.0)), ids


def write(out: Path) -> None:
    """Images, masks, class names and the lists of both splits."""
    for name in ("images", "masks"):
        (out / name).mkdir(parents=True, exist_ok=True)
    names = [f"smear_{number:03d}" for number in range(_TRAIN + _VAL)]
    for number, name in enumerate(names):
        image, ids = draw(np.random.default_rng(number))
        image.save(out / "images" / f"{name}.jpg", quality=92)
        Image.fromarray(ids).save(out / "masks" / f"{name}.png")
    for split, chosen in {"train": names[:_TRAIN], "val": names[_TRAIN:]}.items():
        (out / f"{split}.txt").write_text("\n".join(chosen) + "\n", encoding="utf-8")
    (out / "classes.txt").write_text("\n".join(CLASSES) + "\n", encoding="utf-8")


def main() -> None:
    """Write the folder, or the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", type=Path)
    args = parser.parse_args()
    if args.run is None:
        write(args.folder)
        return
    model = picie.load(args.run)
    paths = sorted((args.folder / "images").glob("*.jpg"))[_TRAIN : _TRAIN + 2]
    rows = [(path.stem, np.asarray(Image.open(path)), model.predict(path)) for path in paths]
    write_sheet(_OUT, rows, model.colours, names=model.names)


if __name__ == "__main__":
    main()

"""ISPRS Potsdam, aerial images, with 6 or 3 classes.

As published, 38 tiles of 6000 x 6000 pixels:

potsdam/
├── 2_Ortho_RGB/top_potsdam_<tile>_RGB.tif
└── 5_Labels_all/top_potsdam_<tile>_label.tif      in colours

with the splits train (the 24 tiles whose labels were released first), test (the other 14) and all.
Training takes one base crop per image, so patches suit it better than whole tiles. They use picie's
own layout:

potsdam/
├── images/<patch>.png (or .jpg ...)
├── masks/<patch>.png               in colours, or one channel with the ids 0 to 5
└── <split>.txt                     optional list, one patch per line

The protocol of IIC (Ji, Henriques and Vedaldi, ICCV 2019; its script potsdam_prepare.py) downscales
every tile to half its size, cuts it into 15 x 15 patches of 200 x 200 pixels and draws 855 random
patches of the 24 labelled tiles for labelled_test; the other 4,545 are labelled_train, and the
3,150 of the other tiles unlabelled_train. IIC also uses the infrared channel; picie reads RGB.

Stored ids, by their colours: 0 white impervious surfaces, 1 blue buildings, 2 cyan low vegetation,
3 green trees, 4 yellow cars, 5 red clutter; black (the eroded borders of 5_Labels_all_noBoundary)
is void. potsdam3 merges roads and cars, buildings and clutter, vegetation and trees (IIC, its
potsdam.py).
"""

from picie.data.datasets.dataset import Dataset, Layout, Part
from picie.data.masks import Colour, LabelCode
from picie.types import VOID

__all__ = ["POTSDAM3", "POTSDAM6"]

_COLOURS: tuple[Colour, ...] = (
    (255, 255, 255),
    (0, 0, 255),
    (0, 255, 255),
    (0, 255, 0),
    (255, 255, 0),
    (255, 0, 0),
    (0, 0, 0),
)
_TRAIN = [(row, column) for row in range(2, 8) for column in range(10 if row < 6 else 7, 13)]
_LAST = {2: 14, 3: 14, 4: 15, 5: 15, 6: 15, 7: 13}
_TEST = [(row, column) for row, last in _LAST.items() for column in range(13, last + 1)]


def _part(tiles: list[tuple[int, int]]) -> Part:
    return Part(
        images="2_Ortho_RGB",
        masks="5_Labels_all",
        image_end="_RGB.tif",
        mask_end="_label.tif",
        stems=tuple(f"top_potsdam_{row}_{column}" for row, column in tiles),
    )


_LAYOUTS = (
    Layout(
        tree="2_Ortho_RGB/top_potsdam_<tile>_RGB.tif\n5_Labels_all/top_potsdam_<tile>_label.tif",
        parts={"train": _part(_TRAIN), "test": _part(_TEST), "all": _part(_TRAIN + _TEST)},
    ),
    Layout(
        tree="images/<patch>.png\nmasks/<patch>.png   colours, or the ids 0 to 5\n<split>.txt",
        stored=6,
    ),
)

POTSDAM6 = Dataset(
    classes=("impervious surfaces", "building", "low vegetation", "tree", "car", "clutter"),
    code=LabelCode("potsdam6", (0, 1, 2, 3, 4, 5, VOID), _COLOURS),
    layouts=_LAYOUTS,
    palette=_COLOURS[:6],
)
"""The classes of the benchmark."""

POTSDAM3 = Dataset(
    classes=("roads and cars", "buildings and clutter", "vegetation and trees"),
    code=LabelCode("potsdam3", (0, 1, 2, 2, 0, 1, VOID), _COLOURS),
    layouts=_LAYOUTS,
    palette=_COLOURS[:3],
)
"""The three merged classes of IIC."""

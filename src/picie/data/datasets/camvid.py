"""CamVid (Brostow, Fauqueur and Cipolla, 2009) with the 11 classes of SegNet.

Layout of the SegNet tutorial:

CamVid/
├── {train,val,test}/<frame>.png
└── {train,val,test}annot/<frame>.png

or picie's own layout:

camvid/
├── images/<frame>.jpg
├── masks/<frame>.png
└── <split>.txt

Splits: train (367), val (101), test (233); in picie's own layout its list files, or all. Masks hold
the class ids 0 to 10; 11 and 255 are void. There is no partition into things and stuff.
"""

from picie.data.datasets.dataset import Dataset, Layout, Part
from picie.data.masks import Colour, LabelCode
from picie.types import VOID

__all__ = ["CAMVID11"]

_CLASSES: tuple[tuple[str, Colour], ...] = (
    ("sky", (128, 128, 128)),
    ("building", (128, 0, 0)),
    ("pole", (192, 192, 128)),
    ("road", (128, 64, 128)),
    ("pavement", (60, 40, 222)),
    ("tree", (128, 128, 0)),
    ("sign", (192, 128, 128)),
    ("fence", (64, 64, 128)),
    ("car", (64, 0, 128)),
    ("pedestrian", (64, 64, 0)),
    ("bicyclist", (0, 128, 192)),
)
_TREE = "{train,val,test}/<frame>.png\n{train,val,test}annot/<frame>.png"

CAMVID11 = Dataset(
    classes=tuple(name for name, _ in _CLASSES),
    code=LabelCode("camvid11", (*range(len(_CLASSES)), VOID)),
    layouts=(
        Layout(
            tree=_TREE,
            parts={
                split: Part(images=split, masks=f"{split}annot", image_end=".png")
                for split in ("train", "val", "test")
            },
        ),
        Layout(tree="images/<frame>.jpg\nmasks/<frame>.png\n<split>.txt", stored=len(_CLASSES)),
    ),
    palette=tuple(colour for _, colour in _CLASSES),
)
"""The classes of SegNet."""

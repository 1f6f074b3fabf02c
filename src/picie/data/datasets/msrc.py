"""MSRC v2 (Shotton et al., ECCV 2006; the masks of Malisiewicz and Efros, BMVC 2007).

In picie's own layout:

msrc/
├── images/<name>.jpg
├── masks/<name>.png
└── <split>.txt

Splits: the list files in the folder, or all. Masks hold the ids 0 to 22 of msrc23; 255 is void.
msrc21 makes horse and mountain void, which have too few images, and closes the gaps in the ids.
There is no partition into things and stuff.
"""

from picie.data.datasets.dataset import Dataset, Layout, class_map
from picie.data.masks import Colour, LabelCode
from picie.types import VOID

__all__ = ["MSRC21", "MSRC23"]

_CLASSES: tuple[tuple[str, Colour], ...] = (
    ("building", (128, 0, 0)),
    ("grass", (0, 128, 0)),
    ("tree", (128, 128, 0)),
    ("cow", (0, 0, 128)),
    ("horse", (128, 0, 128)),
    ("sheep", (0, 128, 128)),
    ("sky", (128, 128, 128)),
    ("mountain", (64, 0, 0)),
    ("aeroplane", (192, 0, 0)),
    ("water", (64, 128, 0)),
    ("face", (192, 128, 0)),
    ("car", (64, 0, 128)),
    ("bicycle", (192, 0, 128)),
    ("flower", (64, 128, 128)),
    ("sign", (192, 128, 128)),
    ("bird", (0, 64, 0)),
    ("book", (128, 64, 0)),
    ("chair", (0, 192, 0)),
    ("road", (128, 64, 128)),
    ("cat", (0, 192, 128)),
    ("dog", (128, 192, 128)),
    ("body", (64, 64, 0)),
    ("boat", (192, 64, 0)),
)
_LAYOUT = Layout(tree="images/<name>.jpg\nmasks/<name>.png\n<split>.txt", stored=len(_CLASSES))


def _dataset(left_out: tuple[str, ...]) -> Dataset:
    kept = [stored for stored, (name, _) in enumerate(_CLASSES) if name not in left_out]
    members = {stored: position for position, stored in enumerate(kept)}
    return Dataset(
        classes=tuple(_CLASSES[stored][0] for stored in kept),
        code=LabelCode(f"msrc{len(kept)}", class_map(len(_CLASSES), members, other=VOID)),
        layouts=(_LAYOUT,),
        palette=tuple(_CLASSES[stored][1] for stored in kept),
    )


MSRC23 = _dataset(())
"""All classes."""

MSRC21 = _dataset(("horse", "mountain"))
"""The classes that are usually evaluated."""

"""COCO-Stuff (Caesar, Uijlings and Ferrari, CVPR 2018) on the pictures of COCO 2017.

cocostuff/
├── images/{train2017,val2017}/<id>.jpg
├── annotations/{train2017,val2017}/<id>.png             from stuffthingmaps_trainval2017.zip
└── curated/{train2017,val2017}/Coco164kFull_Stuff_Coarse_7.txt

Masks hold 182 fine ids, COCO's category ids less one (things 0 to 90, stuff 91 to 181); 255 is
void.

- cocostuff27: 12 coarse things and 15 coarse stuff classes (the map of IIC and PiCIE).
- cocostuff15: the 15 coarse stuff classes; things are void (IIC).
- cocostuff171: the fine ids that COCO uses, in their order: 80 things and 91 stuff classes. The
  eleven others never occur, and would be void.

Splits. train (49,629 pictures) and val (2,175) are the lists of IIC, which PiCIE uses; the authors'
repositories have them. train2017 (118,287) and val2017 (5,000) are all pictures. train-derived and
val-derived follow the rule that made the lists (IIC, coco164k_prepare.py): both sides at least 360
pixels, and at least 75 % of all pixels stuff. They read every mask of the split each time.
"""

from pathlib import Path

from picie.data.datasets.cocostuff_names import COARSE, FINE, FIRST_STUFF, UNUSED
from picie.data.datasets.dataset import Dataset, Layout, Part, class_map, voc_colours
from picie.data.masks import LabelCode, stored_ids
from picie.types import VOID

__all__ = ["COCOSTUFF15", "COCOSTUFF27", "COCOSTUFF171", "is_curated"]

_THINGS = 12  # coarse classes before the first stuff class
_STUFF_SHARE = 0.75
_SHORTEST = 360
_LIST = "Coco164kFull_Stuff_Coarse_7.txt"


def is_curated(mask: Path) -> bool:
    """Whether IIC's rule takes the picture of this mask: large, and at least 75 % stuff.

    Args:
        mask: PNG of fine ids.

    Raises:
        DataError: it cannot be read.
    """
    ids = stored_ids(mask)
    stuff = (ids >= FIRST_STUFF) & (ids < len(FINE))
    return min(ids.shape) >= _SHORTEST and float(stuff.mean()) >= _STUFF_SHARE


def _parts(name: str) -> dict[str, Part]:
    folder = f"{name}2017"
    images, masks = f"images/{folder}", f"annotations/{folder}"
    other = f"put IIC's list there, or take the split {name}-derived (its rule) or {folder} (all)"
    return {
        name: Part(images, masks, names=f"curated/{folder}/{_LIST}", instead=other),
        folder: Part(images, masks),
        f"{name}-derived": Part(images, masks, keep=is_curated),
    }


_LAYOUT = Layout(
    tree=(
        "images/{train2017,val2017}/<id>.jpg\n"
        "annotations/{train2017,val2017}/<id>.png\n"
        f"curated/{{train2017,val2017}}/{_LIST}   (train, val)"
    ),
    parts=_parts("train") | _parts("val"),
)
_COARSE_OF = {fine: coarse for coarse, (_, members) in enumerate(COARSE) for fine in members}
_USED = [fine for fine in range(len(FINE)) if fine not in UNUSED]
_NUM_FINE_THINGS = sum(fine < FIRST_STUFF for fine in _USED)


def _dataset(
    members: dict[int, int], classes: tuple[str, ...], groups: dict[str, tuple[int, ...]]
) -> Dataset:
    return Dataset(
        classes=classes,
        code=LabelCode(f"cocostuff{len(classes)}", class_map(len(FINE), members, other=VOID)),
        layouts=(_LAYOUT,),
        palette=voc_colours(len(classes) + 1)[1:],
        groups=groups,
    )


def _groups(num_things: int, count: int) -> dict[str, tuple[int, ...]]:
    return {"things": tuple(range(num_things)), "stuff": tuple(range(num_things, count))}


_COARSE_NAMES = tuple(name for name, _ in COARSE)

COCOSTUFF27 = _dataset(_COARSE_OF, _COARSE_NAMES, _groups(_THINGS, len(COARSE)))
"""Coarse things and stuff: PiCIE's main protocol."""

COCOSTUFF15 = _dataset(
    {fine: coarse - _THINGS for fine, coarse in _COARSE_OF.items() if coarse >= _THINGS},
    _COARSE_NAMES[_THINGS:],
    {},
)
"""Coarse stuff."""

COCOSTUFF171 = _dataset(
    {fine: position for position, fine in enumerate(_USED)},
    tuple(FINE[fine] for fine in _USED),
    _groups(_NUM_FINE_THINGS, len(_USED)),
)
"""Fine things and stuff."""

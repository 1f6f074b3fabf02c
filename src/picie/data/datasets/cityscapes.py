"""Cityscapes (Cordts et al., CVPR 2016), with 27 or 19 classes.

cityscapes/
├── leftImg8bit/{train,val,test}/<city>/<frame>_leftImg8bit.png   leftImg8bit_trainvaltest.zip
├── leftImg8bit/train_extra/<city>/<frame>_leftImg8bit.png        leftImg8bit_trainextra.zip
├── gtFine/{train,val}/<city>/<frame>_gtFine_labelIds.png         gtFine_trainvaltest.zip
└── gtCoarse/train_extra/<city>/<frame>_gtCoarse_labelIds.png     gtCoarse.zip

Splits: train (2,975), val (500), test (1,525, labels not published) and train_extra (19,998, coarse
labels). PiCIE's code trains on test+train_extra and evaluates on train+val.

cityscapes27: the labelIds 7 to 33 in order, as PiCIE evaluates them; -1 (stored as 255) and 0 to 6
are void. cityscapes19: the 19 classes of the benchmark, all others void. Things are the classes
with instances (humans and vehicles), as in the official label table.
"""

from picie.data.datasets.dataset import Dataset, Layout, Part, class_map
from picie.data.masks import Colour, LabelCode
from picie.types import VOID

__all__ = ["CITYSCAPES19", "CITYSCAPES27"]

_FIRST = 7  # labelId of the first class that is not void
_CLASSES: tuple[tuple[str, Colour], ...] = (
    ("road", (128, 64, 128)),
    ("sidewalk", (244, 35, 232)),
    ("parking", (250, 170, 160)),
    ("rail track", (230, 150, 140)),
    ("building", (70, 70, 70)),
    ("wall", (102, 102, 156)),
    ("fence", (190, 153, 153)),
    ("guard rail", (180, 165, 180)),
    ("bridge", (150, 100, 100)),
    ("tunnel", (150, 120, 90)),
    ("pole", (153, 153, 153)),
    ("polegroup", (153, 153, 153)),
    ("traffic light", (250, 170, 30)),
    ("traffic sign", (220, 220, 0)),
    ("vegetation", (107, 142, 35)),
    ("terrain", (152, 251, 152)),
    ("sky", (70, 130, 180)),
    ("person", (220, 20, 60)),
    ("rider", (255, 0, 0)),
    ("car", (0, 0, 142)),
    ("truck", (0, 0, 70)),
    ("bus", (0, 60, 100)),
    ("caravan", (0, 0, 90)),
    ("trailer", (0, 0, 110)),
    ("train", (0, 80, 100)),
    ("motorcycle", (0, 0, 230)),
    ("bicycle", (119, 11, 32)),
)
"""Name and official colour of the labelIds 7 to 33."""
_RARE = [
    "parking",
    "rail track",
    "guard rail",
    "bridge",
    "tunnel",
    "polegroup",
    "caravan",
    "trailer",
]
_THINGS = [
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "caravan",
    "trailer",
    "train",
    "motorcycle",
    "bicycle",
]
_DOWNLOADS = "https://www.cityscapes-dataset.com/downloads/, with a free account"
_ARCHIVES = {
    "leftImg8bit_trainvaltest": ("leftImg8bit/train", "leftImg8bit/val", "leftImg8bit/test"),
    "leftImg8bit_trainextra": ("leftImg8bit/train_extra",),
    "gtFine_trainvaltest": ("gtFine/train", "gtFine/val"),
    "gtCoarse": ("gtCoarse/train_extra",),
}


def _part(split: str, kind: str) -> Part:
    return Part(
        images=f"leftImg8bit/{split}",
        masks=f"{kind}/{split}" if kind else "",
        image_end="_leftImg8bit.png",
        mask_end=f"_{kind}_labelIds.png",
    )


_LAYOUT = Layout(
    tree=(
        "leftImg8bit/{train,val,test,train_extra}/<city>/<frame>_leftImg8bit.png\n"
        "gtFine/{train,val}/<city>/<frame>_gtFine_labelIds.png\n"
        "gtCoarse/train_extra/<city>/<frame>_gtCoarse_labelIds.png"
    ),
    parts={
        "train": _part("train", "gtFine"),
        "val": _part("val", "gtFine"),
        "test": _part("test", ""),
        "train_extra": _part("train_extra", "gtCoarse"),
    },
    sources={
        folder: f"unzip {archive}.zip ({_DOWNLOADS}) in the root"
        for archive, folders in _ARCHIVES.items()
        for folder in folders
    },
)


def _dataset(left_out: list[str]) -> Dataset:
    kept = [name for name, _ in _CLASSES if name not in left_out]
    stored = {
        _FIRST + position: kept.index(name)
        for position, (name, _) in enumerate(_CLASSES)
        if name in kept
    }
    code = LabelCode(
        name=f"cityscapes{len(kept)}",
        lookup=class_map(_FIRST + len(_CLASSES), stored, other=VOID),
    )
    return Dataset(
        classes=tuple(kept),
        code=code,
        layouts=(_LAYOUT,),
        palette=tuple(colour for name, colour in _CLASSES if name in kept),
        groups={
            "things": tuple(i for i, name in enumerate(kept) if name in _THINGS),
            "stuff": tuple(i for i, name in enumerate(kept) if name not in _THINGS),
        },
    )


CITYSCAPES27 = _dataset([])
"""All classes except the void ones: PiCIE's protocol."""

CITYSCAPES19 = _dataset(_RARE)
"""The classes of the official benchmark."""

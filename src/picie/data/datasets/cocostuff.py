"""COCO-Stuff (Caesar, Uijlings and Ferrari, CVPR 2018) on the images of COCO 2017.

cocostuff/
├── images/{train2017,val2017}/<id>.jpg                  train2017.zip, val2017.zip
├── annotations/{train2017,val2017}/<id>.png             stuffthingmaps_trainval2017.zip
└── curated/{train2017,val2017}/Coco164kFull_Stuff_Coarse_7.txt

Masks hold 182 fine ids, COCO's category ids less one (things 0 to 90, stuff 91 to 181); 255 is
void.

- cocostuff27: 12 coarse things and 15 coarse stuff classes (the map of IIC and PiCIE).
- cocostuff15: the 15 coarse stuff classes; things are void (IIC).
- cocostuff171: the fine ids that COCO uses, in order: 80 things and 91 stuff classes. The other
  eleven never occur, and would be void.

Splits: train (49,629 images) and val (2,175) are the lists of IIC, which PiCIE uses; they are in
the folder curated/ of PiCIE's repository. train2017 (118,287) and val2017 (5,000) are all images.
train-derived and val-derived apply the rule behind the lists (IIC, coco164k_prepare.py): both sides
at least 360 pixels, and at least 75 % of all pixels stuff. They read every mask of the split each
time.
"""

from pathlib import Path

from picie.data.datasets.dataset import Dataset, Layout, Part, class_map, voc_colours
from picie.data.masks import LabelCode, stored_ids
from picie.types import VOID

__all__ = [
    "COARSE",
    "COCOSTUFF15",
    "COCOSTUFF27",
    "COCOSTUFF171",
    "FINE",
    "FIRST_STUFF",
    "UNUSED",
    "is_curated",
]

FIRST_STUFF = 91
"""Fine ids below this one are things."""

UNUSED = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
"""Fine ids that COCO defines but assigns to no pixel."""

_FINE = """\
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant,
street sign, stop sign, parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear,
zebra, giraffe, hat, backpack, umbrella, shoe, eye glasses, handbag, tie, suitcase, frisbee, skis,
snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, tennis racket,
bottle, plate, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli,
carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, mirror, dining table, window,
desk, toilet, door, tv, laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink,
refrigerator, blender, book, clock, vase, scissors, teddy bear, hair drier, toothbrush, hair brush,
banner, blanket, branch, bridge, building-other, bush, cabinet, cage, cardboard, carpet,
ceiling-other, ceiling-tile, cloth, clothes, clouds, counter, cupboard, curtain, desk-stuff, dirt,
door-stuff, fence, floor-marble, floor-other, floor-stone, floor-tile, floor-wood, flower, fog,
food-other, fruit, furniture-other, grass, gravel, ground-other, hill, house, leaves, light, mat,
metal, mirror-stuff, moss, mountain, mud, napkin, net, paper, pavement, pillow, plant-other,
plastic, platform, playingfield, railing, railroad, river, road, rock, roof, rug, salad, sand, sea,
shelf, sky-other, skyscraper, snow, solid-other, stairs, stone, straw, structural-other, table,
tent, textile-other, towel, tree, vegetable, wall-brick, wall-concrete, wall-other, wall-panel,
wall-stone, wall-tile, wall-wood, water-other, waterdrops, window-blind, window-other, wood"""

FINE: tuple[str, ...] = tuple(_FINE.replace(",\n", ", ").split(", "))
"""Names in the order of their ids."""

COARSE: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("electronic", (*range(71, 77),)),
    ("appliance", (*range(77, 83),)),
    ("food-thing", (*range(51, 61),)),
    ("furniture-thing", (*range(61, 71),)),
    ("indoor", (*range(83, 91),)),
    ("kitchen", (*range(43, 51),)),
    ("accessory", (*range(25, 33),)),
    ("animal", (*range(15, 25),)),
    ("outdoor", (*range(9, 15),)),
    ("person", (0,)),
    ("sports", (*range(33, 43),)),
    ("vehicle", (*range(1, 9),)),
    ("ceiling", (101, 102)),
    ("floor", (100, *range(113, 118))),
    ("food-stuff", (120, 121, 152, 169)),
    ("furniture-stuff", (97, 106, 107, 109, 111, 122, 129, 132, 155, 160, 164)),
    ("raw-material", (99, 131, 138, 142)),
    ("textile", (91, 92, 103, 104, 108, 130, 136, 140, 151, 166, 167)),
    ("wall", (*range(170, 177),)),
    ("window", (179, 180)),
    ("building", (94, 95, 127, 150, 157, 165)),
    ("ground", (110, 124, 125, 135, 139, 143, 144, 146, 148, 153, 158)),
    ("plant", (93, 96, 118, 123, 128, 133, 141, 162, 168)),
    ("sky", (105, 156)),
    ("solid", (126, 134, 149, 159, 161, 181)),
    ("structural", (98, 112, 137, 145, 163)),
    ("water", (119, 147, 154, 177, 178)),
)
"""Name and fine ids of each coarse class; the first 12 are things."""

_THINGS = 12  # coarse classes before the first stuff class
_STUFF_SHARE = 0.75
_SHORTEST = 360
_LIST = "Coco164kFull_Stuff_Coarse_7.txt"
_FOLDERS = ("train2017", "val2017")
_COCO = "http://images.cocodataset.org/zips/"
_MAPS = (
    "stuffthingmaps_trainval2017.zip (http://calvin.inf.ed.ac.uk/wp-content/uploads/data/"
    "cocostuffdataset/stuffthingmaps_trainval2017.zip)"
)
_LISTS = (
    "put the folder curated/ of https://github.com/janghyuncho/PiCIE beside images/; or use the "
    "splits train-derived and val-derived (the rule behind its lists), or train2017 and val2017 "
    "(all images)"
)


def is_curated(mask: Path | str) -> bool:
    """Whether IIC's rule includes the image of this mask: large, and at least 75 % stuff.

    Args:
        mask: PNG of fine ids.

    Raises:
        DataError: the mask cannot be read.
    """
    ids = stored_ids(mask)
    stuff = (ids >= FIRST_STUFF) & (ids < len(FINE))
    return min(ids.shape) >= _SHORTEST and float(stuff.mean()) >= _STUFF_SHARE


def _parts(name: str) -> dict[str, Part]:
    folder = f"{name}2017"
    images, masks = f"images/{folder}", f"annotations/{folder}"
    return {
        name: Part(images, masks, names=f"curated/{folder}/{_LIST}"),
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
    sources={
        **{f"images/{one}": f"unzip {one}.zip ({_COCO}{one}.zip) in images/" for one in _FOLDERS},
        **{f"annotations/{one}": f"unzip {_MAPS} in annotations/" for one in _FOLDERS},
        **{f"curated/{one}/{_LIST}": _LISTS for one in _FOLDERS},
    },
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

"""ADE20K of the Scene Parsing Challenge 2016 (Zhou et al., CVPR 2017), 150 classes.

ADEChallengeData2016/
├── images/{training,validation}/<name>.jpg
└── annotations/{training,validation}/<name>.png

Splits: train (20,210) and val (2,000). Masks hold 0 (void) and the classes from 1: class id =
stored id - 1. Of several official names the first is used; things and stuff are those of the
panoptic task on the same classes. The release has no palette; the VOC colours are used instead.
"""

from picie.data.datasets.dataset import Dataset, Layout, Part, voc_colours
from picie.data.masks import LabelCode
from picie.types import VOID

__all__ = ["ADE20K150"]

_CLASSES = """\
wall, building, sky, floor, tree, ceiling, road, bed, window, grass, cabinet, sidewalk, person,
earth, door, table, mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea,
mirror, rug, field, armchair, seat, fence, desk, rock, wardrobe, lamp, tub, rail, cushion, base,
box, column, signboard, chest of drawers, counter, sand, sink, skyscraper, fireplace, refrigerator,
grandstand, path, stairs, runway, case, pool table, pillow, screen door, stairway, river, bridge,
bookcase, blind, coffee table, toilet, flower, book, hill, bench, countertop, stove, palm,
kitchen island, computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel, light, truck,
tower, chandelier, awning, street lamp, booth, tv, plane, dirt track, clothes, pole, land,
bannister, escalator, ottoman, bottle, buffet, poster, stage, van, ship, fountain, conveyer belt,
canopy, washer, plaything, pool, stool, barrel, basket, falls, tent, bag, minibike, cradle, oven,
ball, food, step, tank, trade name, microwave, pot, animal, bicycle, lake, dishwasher, screen,
blanket, sculpture, hood, sconce, vase, traffic light, tray, trash can, fan, pier, crt screen,
plate, monitor, bulletin board, shower, radiator, glass, clock, flag"""
_STUFF = """\
wall, building, sky, floor, tree, ceiling, road, grass, sidewalk, earth, mountain, plant, water,
house, sea, rug, field, rock, base, sand, skyscraper, grandstand, path, runway, stairway, river,
bridge, blind, hill, bar, hovel, tower, dirt track, land, escalator, buffet, poster, stage,
conveyer belt, canopy, pool, falls, tent, cradle, tank, lake, blanket, pier, crt screen, shower"""


def _split(names: str) -> tuple[str, ...]:
    return tuple(names.replace(",\n", ", ").split(", "))


_NAMES, _STUFF_NAMES = _split(_CLASSES), frozenset(_split(_STUFF))


def _part(folder: str) -> Part:
    return Part(images=f"images/{folder}", masks=f"annotations/{folder}")


ADE20K150 = Dataset(
    classes=_NAMES,
    code=LabelCode("ade20k150", (VOID, *range(len(_NAMES)))),
    layouts=(
        Layout(
            tree=(
                "images/{training,validation}/<name>.jpg\n"
                "annotations/{training,validation}/<name>.png"
            ),
            parts={"train": _part("training"), "val": _part("validation")},
        ),
    ),
    palette=voc_colours(len(_NAMES) + 1)[1:],
    groups={
        "things": tuple(i for i, name in enumerate(_NAMES) if name not in _STUFF_NAMES),
        "stuff": tuple(i for i, name in enumerate(_NAMES) if name in _STUFF_NAMES),
    },
)
"""The classes of the challenge."""

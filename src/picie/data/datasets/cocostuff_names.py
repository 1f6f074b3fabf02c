"""The 182 fine ids of COCO-Stuff, and which of 27 coarse classes each belongs to.

Every id occurs in exactly one coarse class (the map of IIC and PiCIE).
"""

__all__ = ["COARSE", "FINE", "FIRST_STUFF", "UNUSED"]

FIRST_STUFF = 91
"""Fine ids below are things."""

UNUSED = (11, 25, 28, 29, 44, 65, 67, 68, 70, 82, 90)
"""Fine ids that COCO names but never gives to a pixel."""

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

"""Write an export in every format, of photos and classes whose names are hard to store.

    python benchmarks/readers/make.py DIR
    ENVIRONMENT/bin/python benchmarks/readers/read.py DIR    # once for each tool

The first needs picie, the second the tool alone. The model learns nothing: only its masks matter.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import picie
from picie.data.synthetic.scenes import draw_scene
from picie.export.formats.layout import Options
from picie.export.masks import FORMATS, RASTER_FORMATS
from picie.models.class_names import ClassNames, NamedClass

FILES = [
    *(
        "#1 roof.png",
        " lead.png",
        "trail .png",
        "new\nline.png",
        "a:b.png",
        'quo"te.png',
        "t\t.png",
    ),
    *("esc\x1b[31m.png", "back\\slash.png", "nul.png", "dot..png", "A.png", "a.png", "plain.png"),
    *("é.png", "e\u0301.png", "x.jpg", "x.png", "sub/#2.png", "sub.png/y.png", "%41.png"),
    *("latin\udce9.png", "x" * 251 + ".png", "line\u2028.png", "50 % & more, [1] {2}.jpg"),
    *("sub/images/y z.png", "labels/y.png", "it's;~$1!.png", "日本/東.png", "b_leftImg8bit.png"),
]
CLASSES = ("#road", 'a:b "<img src=x>" | `c` & &amp;', "no", "$~ 1, é 🐈 {x}")


def main(folder: Path) -> None:
    """Write FOLDER/<format>, and in FOLDER/expected what readers must find."""
    photos = folder / "photos"
    for index, name in enumerate(FILES):
        path = photos / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_scene(1, index, (96, 128 + index))[0]).save(path)
    picie.train(
        photos,
        folder / "run",
        clusters=len(CLASSES),
        epochs=0,
        size=96,
        base_size=96,
        backbone="test_efficientnet",
        pretrained=False,
        device="cpu",
    )
    names = tuple(NamedClass(name, (number,)) for number, name in enumerate(CLASSES))
    model = picie.load(folder / "run").named(ClassNames(len(CLASSES), names))
    expected = folder / "expected"
    expected.mkdir()
    masks = {}
    for number, name in enumerate(FILES):
        np.save(expected / f"{number}.npy", model.predict(photos / name).astype(np.int16))
        masks[os.fsencode(name).hex()] = f"{number}.npy"
    (expected / "masks.json").write_text(json.dumps({"masks": masks, "classes": CLASSES}))
    for format in FORMATS:
        if format in RASTER_FORMATS:
            continue
        for suffix, polygons in (("", False), ("-polygons", True)):
            if polygons and format != "coco":
                continue
            options = Options(polygons=polygons, min_area=0)
            picie.export_masks(model, format, photos, folder / f"{format}{suffix}", options=options)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

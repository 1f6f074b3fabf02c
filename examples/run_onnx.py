"""Run an exported model without picie: python run_onnx.py model.onnx photo.jpg mask.png."""

import json
import os
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def main(model: str, photo: str, out: str) -> None:
    """Write the mask of a photo, in the colours of the classes and at the size of the photo."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    notes = session.get_modelmeta().custom_metadata_map
    names, colours = json.loads(notes["class_names"]), json.loads(notes["class_colours"])
    image = ImageOps.exif_transpose(Image.open(photo)).convert("RGB")

    # Short side as in training; both sides are rounded to multiples of 32 pixels.
    scale = int(notes["short_side"]) / min(image.size)
    sides = [32 * round(side * scale / 32) for side in image.size]
    pixels = np.asarray(image.resize(sides, Image.Resampling.BILINEAR))
    logits = session.run(["logits"], {"images": pixels[None]})[0][0]  # (classes, h, w)

    # Class by class, so that a large photo needs little memory.
    best, mask = None, np.zeros((image.height, image.width), np.uint8 if len(logits) < 256 else int)
    for number, plane in enumerate(logits):
        plane = np.asarray(Image.fromarray(plane).resize(image.size, Image.Resampling.BILINEAR))
        better = plane > (-np.inf if best is None else best)
        best, mask[better] = plane if best is None else np.maximum(best, plane), number
    shown = np.array([*colours, (0, 0, 0)], np.uint8)[mask]  # black: ignored classes
    Image.fromarray(shown).save(out)
    for number, name in enumerate(names):
        print(f"{(mask == number).mean():6.1%}  {name}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    for path in sys.argv[1:3]:
        if not os.path.isfile(path):
            sys.exit(f"{path}: no such file")
    main(*sys.argv[1:])

"""Train on a folder of photos, and write a mask for each photo.

    python examples/train_on_folder.py photos/ out/ --clusters 8

Shows training from Python, settings as keywords, and the results: masks that store cluster ids,
overlays for viewing, and the health of the run, which needs no labels.
"""

import argparse
import json
from pathlib import Path

from PIL import Image

import picie
from picie.visualization.masks import mask_image, overlay, write_png


def main() -> None:
    """Train, predict and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clusters", type=int, default=8)
    parser.add_argument("--size", type=int, default=320, help="in pixels, a multiple of 32")
    args = parser.parse_args()

    model = picie.train(
        args.photos,
        args.out / "run",
        clusters=args.clusters,
        size=args.size,
        base_size=args.size,
        quiet=False,
    )

    for one in model.predict_folder(args.photos):
        if one.mask is None:
            print(one.problem)
            continue
        for kind in ("masks", "overlays"):
            (args.out / kind / one.name).parent.mkdir(parents=True, exist_ok=True)
        write_png(mask_image(one.mask, model.colours), args.out / "masks" / f"{one.name}.png")
        blended = overlay(one.image, one.mask, model.colours)
        write_png(Image.fromarray(blended), args.out / "overlays" / f"{one.name}.png")

    health = json.loads((args.out / "run" / "health.json").read_text(encoding="utf-8"))
    print(f"two views of a photo agree on {health['view_agreement']:.0%} of its pixels")
    print(f"{health['effective_clusters']:.1f} of {model.clusters} clusters are effectively used")


if __name__ == "__main__":
    main()

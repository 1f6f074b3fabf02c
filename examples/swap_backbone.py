"""Train with two backbones, and compare their clusters without labels.

    python examples/swap_backbone.py photos/ out/ resnet18.tv_in1k convnext_atto.d2_in1k

Any timm network works that takes images of any size. Weights are downloaded once; with
--no-pretrained they are random, so nothing is downloaded (and the masks are meaningless).
"""

import argparse
import json
from pathlib import Path

import torch

import picie
from picie.clustering.validity import adjusted_rand, contingency


def main() -> None:
    """Train once per backbone."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("backbones", nargs=2, help="names of timm networks")
    parser.add_argument("--clusters", type=int, default=8)
    parser.add_argument("--size", type=int, default=320, help="in pixels, a multiple of 32")
    parser.add_argument("--no-pretrained", action="store_true")
    args = parser.parse_args()

    models = []
    for name in args.backbones:
        model = picie.train(
            args.photos,
            args.out / name,
            epochs=0,  # clustering without training is enough to compare features
            clusters=args.clusters,
            backbone=name,
            pretrained=not args.no_pretrained,
            size=args.size,
            base_size=args.size,
        )
        health = json.loads((args.out / name / "health.json").read_text(encoding="utf-8"))
        print(f"{name}: two views agree on {health['view_agreement']:.0%} of the pixels")
        models.append(model)

    first, second = (model.predict_folder(args.photos) for model in models)
    for one, other in zip(first, second, strict=True):
        if one.mask is not None and other.mask is not None:
            ids, others = (torch.from_numpy(mask).flatten() for mask in (one.mask, other.mask))
            table = contingency(ids, others, (args.clusters, args.clusters))
            print(f"{one.name}: adjusted Rand index {adjusted_rand(table):.2f} (1 = identical)")


if __name__ == "__main__":
    main()

"""How far confidence can be trusted: calibration, and how well it ranks pixels and images.

    python benchmarks/confidence.py DATA --run RUN --split val --names train [--clusters 64]

A model without names is named by the majority of the labels of each cluster, on the images of the
split --names. Prints one JSON line. `error` is the expected calibration error in points: the mean
difference between confidence and accuracy over 15 equal bins of confidence, weighted by pixels.
`auroc` is the chance that a right pixel has a higher confidence than a wrong one. `rank` is the
rank correlation, over images, of mean confidence and accuracy.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

import picie
from picie.data.folder import PhotoFolder, open_folder
from picie.inference.segmenter import Prediction

_BINS = 15


def main() -> None:
    """Predict, compare and print."""
    args = _arguments()
    model = picie.load(args.run)
    if args.clusters:
        model = model.cut(args.clusters)
    if args.scales or args.refine is not None:
        model = model.post_processed(scales=args.scales, refine=args.refine)
    folder = open_folder(args.data, args.split, labelled=True)
    if model.class_names is None:
        named_by = open_folder(args.data, args.names or args.split, labelled=True)
        model = _named(model, named_by)
    title = {name: number for number, name in enumerate(folder.classes)}
    # The last is for pixels without an id.
    labels = np.array([*(title.get(name, -1) for name in model.names), -1])
    pixels, right = np.zeros((2, 256), np.int64)
    pairs = []
    for one, truth in _predicted(model, folder, confidence=True):
        assert one.mask is not None
        assert one.confidence is not None
        seen = truth < len(folder.classes)
        hits, values = (labels[one.mask] == truth)[seen], one.confidence[seen]
        pixels += np.bincount(values, minlength=256)
        right += np.bincount(values[hits], minlength=256)
        pairs.append((float(values.mean()), float(hits.mean())))
    record = {"data": args.data.name, "split": args.split, "images": len(folder)}
    certain, good = np.array(pairs).T
    rank = round(float(spearmanr(certain, good).statistic), 2)
    print(json.dumps(record | _scores(pixels, right) | {"rank": rank}))


def _named(model: picie.Segmenter, folder: PhotoFolder) -> picie.Segmenter:
    """The model with the majority class of each cluster as its name."""
    table = np.zeros((model.clusters, len(folder.classes)), np.int64)
    for one, truth in _predicted(model, folder):
        assert one.mask is not None
        seen = truth < len(folder.classes)
        np.add.at(table, (one.mask[seen], truth[seen]), 1)
    names: dict[str, list[int]] = {}
    for number, label in enumerate(table.argmax(1).tolist()):
        names.setdefault(folder.classes[label], []).append(number)
    return model.named(picie.ClassNames.of(model.clusters, names))


def _predicted(
    model: picie.Segmenter, folder: PhotoFolder, *, confidence: bool = False
) -> Iterator[tuple[Prediction, NDArray[np.uint8]]]:
    predictions = model.predict_folder(folder, confidence=confidence)
    for photo, one in zip(folder.photos, predictions, strict=True):
        if one.mask is None:
            raise SystemExit(one.problem)
        yield one, folder.truth(photo, image_size=(one.mask.shape[1], one.mask.shape[0]))


def _scores(pixels: NDArray[np.int64], right: NDArray[np.int64]) -> dict[str, Any]:
    """Accuracy, mean confidence, calibration error and AUROC from counts by confidence."""
    value = np.arange(256) / 255
    bins = np.minimum(value * _BINS, _BINS - 1).astype(int)
    gaps = np.bincount(bins, pixels * value - right, _BINS)
    wrong = pixels - right
    below = np.cumsum(wrong) - wrong / 2
    return {
        "accuracy": round(100 * float(right.sum() / pixels.sum()), 1),
        "confidence": round(100 * float((pixels * value).sum() / pixels.sum()), 1),
        "error": round(100 * float(np.abs(gaps).sum() / pixels.sum()), 1),
        "auroc": round(float((right * below).sum() / (right.sum() * wrong.sum())), 3),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="labelled folder")
    parser.add_argument("--run", type=Path, required=True, help="run folder of a trained model")
    parser.add_argument("--split", default="", help="images to compare")
    parser.add_argument("--names", default="", help="split that names clusters; as --split")
    parser.add_argument("--clusters", type=int, help="another number of clusters")
    parser.add_argument("--scales", type=float, nargs="+")
    parser.add_argument("--refine", type=int)
    return parser.parse_args()


if __name__ == "__main__":
    main()

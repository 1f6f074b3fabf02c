"""How often the intervals of `picie audit` hold the truth: audits simulated on labelled images.

    python benchmarks/audit.py DATA --split val --run RUN [--audits 1000] [--folder 100000]

Each image is predicted once, and its labels say which pixels are right; a model without names is
named by the majority of the labels of each cluster. Then audits are drawn as `picie audit` draws
them. With --folder, the images stand for a folder of so many, of which an audit sees 100: its
sample is drawn from the images with replacement. Prints one JSON line for each number of checks:
coverage of the interval of the accuracy, its mean width, and both for the precision of the classes,
averaged over classes.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import picie
from picie.annotation.audit import MOST_IMAGES
from picie.data.folder import open_folder
from picie.metrics.stratified import Sample, accuracy_of, precisions_of, strata_in_order

Counts = NDArray[np.int64]


def main() -> None:
    """Predict, simulate and print."""
    args = _arguments()
    pixels, right = counted(args.run, args.data, args.split, args.clusters)
    for checks in args.checks:
        folder = args.folder or len(pixels)
        record = simulated(pixels, right, checks, args.audits, folder, args.seed)
        print(json.dumps({"data": args.data.name, "checks": checks} | record), flush=True)


def counted(run: Path, data: Path, split: str, clusters: int | None) -> tuple[Counts, Counts]:
    """(M, H) labelled pixels of each predicted class in each image, and the right ones."""
    model, folder = picie.load(run), open_folder(data, split, labelled=True)
    model = model.cut(clusters) if clusters else model
    tables = []
    for photo, one in zip(folder.photos, model.predict_folder(folder), strict=True):
        if one.mask is None:
            raise SystemExit(one.problem)
        truth = folder.truth(photo, image_size=(one.mask.shape[1], one.mask.shape[0]))
        seen = (truth < len(folder.classes)) & (one.mask >= 0)
        table = np.zeros((model.clusters, len(folder.classes)), np.int64)
        np.add.at(table, (one.mask[seen], truth[seen]), 1)
        tables.append(table)
    counts = np.stack(tables)  # (M, N, L)
    majority = counts.sum(0).argmax(1)
    title = {name: number for number, name in enumerate(folder.classes)}
    if model.class_names is not None:
        majority = np.array([title.get(name, -1) for name in model.names])
    pixels, right = np.zeros((2, len(counts), len(folder.classes)), np.int64)
    for number, label in enumerate(majority.tolist()):
        if label >= 0:
            pixels[:, label] += counts[:, number].sum(1)
            right[:, label] += counts[:, number, label]
    return pixels, right


def simulated(
    pixels: Counts, right: Counts, checks: int, audits: int, folder: int, seed: int
) -> dict[str, Any]:
    """Coverage and width of the intervals, in percent."""
    used = pixels.sum(0) > 0
    pixels, right = pixels[:, used], right[:, used]
    truth = 100.0 * right.sum() / pixels.sum()
    truths = 100.0 * right.sum(0) / pixels.sum(0)
    generator = np.random.default_rng(seed)
    hits, widths, class_hits, class_widths = [], [], [], []
    for _ in range(audits):
        images = _images(generator, len(pixels), folder)
        sample = _audit(generator, pixels[images], right[images], checks, len(images) / folder)
        found = accuracy_of(sample)
        hits.append(found.low <= truth <= found.high)
        widths.append(found.high - found.low)
        for one, value in zip(precisions_of(sample), truths.tolist(), strict=True):
            if one.checks:
                class_hits.append(one.low - 1e-6 <= value <= one.high + 1e-6)
                class_widths.append(one.high - one.low)
    return {
        "images": len(pixels), "folder": folder, "audits": audits, "accuracy": round(truth, 1),
        "coverage": round(100 * float(np.mean(hits)), 1),
        "width": round(float(np.mean(widths)), 1),
        "class_coverage": round(100 * float(np.mean(class_hits)), 1),
        "class_width": round(float(np.mean(class_widths)), 1),
    }  # fmt: skip


def _images(generator: np.random.Generator, count: int, folder: int) -> Counts:
    if folder > count:
        return generator.integers(count, size=min(folder, MOST_IMAGES))
    return generator.permutation(count)[:MOST_IMAGES]


def _audit(
    generator: np.random.Generator, pixels: Counts, right: Counts, checks: int, fraction: float
) -> Sample:
    strata = strata_in_order(pixels.sum(0), checks)
    images = np.zeros_like(strata)
    for stratum in np.unique(strata):
        share = pixels[:, stratum] / pixels[:, stratum].sum()
        drawn = strata == stratum
        images[drawn] = generator.choice(len(pixels), int(drawn.sum()), p=share)
    chance = right[images, strata] / pixels[images, strata]
    return Sample(pixels, fraction, images, strata, generator.random(len(strata)) < chance)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="labelled folder")
    parser.add_argument("--run", type=Path, required=True, help="run folder of a trained model")
    parser.add_argument("--split", default="")
    parser.add_argument("--clusters", type=int, help="another number of clusters")
    parser.add_argument("--checks", type=int, nargs="+", default=[50, 100, 200])
    parser.add_argument("--audits", type=int, default=1000)
    parser.add_argument("--folder", type=int, default=0, help="images of the folder; 0 = as given")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()

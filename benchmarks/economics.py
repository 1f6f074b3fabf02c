"""Measure what minutes of a person are worth: names, strokes, and labels of all pixels.

    python benchmarks/economics.py DATA ... --out runs/economics

Each DATA is a folder with images/, masks/, classes.txt, train.txt and val.txt. For each of them and
each seed, a model is trained with `epochs=0` in OUT (or taken from there). A simulated person names
its clusters by the majority class, 5 % of them wrongly, and then draws strokes in images of train:
about 30 cells inside the largest wrong region of the image that is offered (every second seed: of
the region of a random class). Masks are scored on val, on cells of the feature map without
post-processing. A name is taken to cost 8 seconds, and a stroke 5.

The table has accuracy and mIoU by number of strokes, mean and standard deviation over seeds; the
probe is a linear classifier on 20,000 labelled cells of train. `--plot FILE.svg` draws mIoU by
minutes.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from questions import SIDE, VOID, Cells, load_cells, load_model, miou
from scipy import ndimage
from torch.nn import functional as F

from picie.annotation.head import Head, Marks, Start, fit_head
from picie.annotation.queue import Doubts, image_order
from picie.data.folder import open_folder
from picie.evaluation.probes import fit_linear
from picie.inference.confidence import sharpness
from picie.inference.segmenter import Segmenter
from picie.visualization.charts import Line, chart, stroke

STROKES = (0, 10, 25, 50, 100, 200)  # the head is fitted and scored after each
NAME, STROKE = 8.0, 5.0  # seconds of a person
WRONG = 0.05  # share of the names
PROBE = 20_000  # labelled cells

Scores = list[tuple[float, float]]
"""Accuracy and mIoU in per cent."""


def main() -> None:
    args = _arguments()
    torch.set_num_threads(args.threads)
    found: dict[str, dict[str, list[Scores]]] = {}
    for data in args.data:
        for seed in range(args.seeds):
            model = load_model(data, seed, args.out / f"{data.name}_{seed}")
            train, val = (load_cells(model, data, *one) for one in (("train", 150), ("val", 100)))
            classes = len(open_folder(data).classes)
            curves = found.setdefault(data.name, {})
            curves.setdefault("probe", []).append([_probe(train, val, classes, seed)])
            for curve in CURVES:
                scores = _draw(model, train, val, classes, curve, seed)
                curves.setdefault(curve, []).append(scores)
                print(data.name, seed, curve, *(f"{a:.1f}/{m:.1f}" for a, m in scores), flush=True)
            (args.out / "economics.json").write_text(json.dumps(found))
    for name, curves in found.items():
        _table(name, curves)
    if args.plot is not None:
        args.plot.write_text(_plot(found))


def _probe(train: Cells, val: Cells, classes: int, seed: int) -> tuple[float, float]:
    known = np.flatnonzero(train.classes.ravel() != VOID)
    some = np.random.default_rng(seed).choice(known, min(PROBE, len(known)), replace=False)
    cells = train.features.flatten(0, 2)[torch.from_numpy(some)].float()
    weight, bias = fit_linear(cells, torch.from_numpy(train.classes.ravel()[some]), classes)
    return _scores(val, [(image.flatten(0, 1).float() @ weight.T + bias) for image in val.features])


def _scores(val: Cells, logits: Sequence[torch.Tensor]) -> tuple[float, float]:
    best = np.stack([one.argmax(1).view(SIDE, SIDE).numpy() for one in logits])
    seen, classes = val.classes != VOID, val.counts.shape[1]
    pairs = val.classes[seen] * classes + best[seen]
    confusion = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    return float(100 * confusion.trace() / confusion.sum()), miou(confusion)


# --- persons


def _draw(
    model: Segmenter, train: Cells, val: Cells, classes: int, curve: str, seed: int
) -> Scores:
    """Scores on val for each number of strokes."""
    rng = np.random.default_rng(seed)
    centroids = F.normalize(model.network.view_centroids(0)[0], dim=1)
    names = torch.from_numpy(train.counts.argmax(1))
    if curve != "right names, random order":
        wrong = torch.from_numpy(rng.random(len(names)) < WRONG)
        names = torch.where(wrong, torch.from_numpy(rng.integers(classes, size=len(names))), names)
    flat, leaves = train.features.flatten(0, 2), torch.from_numpy(train.leaves).flatten()
    known = torch.from_numpy(rng.choice(len(flat), 6000, replace=False))
    start = Start(centroids, names, flat[known].float(), leaves[known])
    touched, strokes, scores = np.zeros(len(train.features), np.int64), list[Stroke](), Scores()
    head, order, idle = _named_head(centroids, names), list[int](), 0
    while True:
        if len(strokes) in STROKES and len(scores) == STROKES.index(len(strokes)):
            if strokes:
                head = _learnt(start, strokes, classes, alone=curve == ALONE)
            scores.append(_scores(val, [_logits(head, one, classes) for one in val.features]))
            order = []
        if len(scores) == len(STROKES) or idle > 2 * len(touched):
            return scores
        if not order:
            order = _order(train, head, classes, touched, rng, gain="queue" in curve)
        image = order.pop(0)
        touched[image] += 1
        guess = _logits(head, train.features[image], classes).argmax(1).view(SIDE, SIDE).numpy()
        if curve == ALONE and not strokes:
            guess = np.full_like(guess, -1)  # there are no masks yet: everything is wrong
        whole = "regions" in curve
        drawn = _stroke(guess, train.classes[image], rng, largest=seed % 2 == 0, whole=whole)
        idle = 0 if drawn else idle + 1
        if drawn is not None:
            cells = train.features[image].flatten(0, 1)[drawn[0]].float()
            leaf = torch.from_numpy(train.leaves[image]).flatten()[drawn[0]]
            strokes.append((cells, drawn[1], leaf))


Stroke = tuple[torch.Tensor, int, torch.Tensor]
"""Features, class and leaves of the cells of a stroke."""


def _named_head(centroids: torch.Tensor, names: torch.Tensor) -> Head:
    factor = sharpness("cosine", len(names.unique()), learnt=False)
    return Head(factor * centroids, torch.zeros(len(centroids)), names)


def _learnt(start: Start, strokes: Sequence[Stroke], classes: int, *, alone: bool) -> Head:
    cells, kinds, leaves = zip(*strokes, strict=True)
    counts = torch.tensor([len(one) for one in cells])
    numbers = torch.arange(len(cells)).repeat_interleave(counts)
    labels = torch.tensor(kinds)[numbers]
    if alone:
        weight, bias = fit_linear(torch.cat(cells), labels, classes)
        return Head(weight, bias, torch.arange(classes))
    return fit_head(start, Marks(torch.cat(cells), labels, torch.cat(leaves), numbers), classes)


def _logits(head: Head, image: torch.Tensor, classes: int) -> torch.Tensor:
    """(cells, L) of the features of an image."""
    rows = image.flatten(0, 1).float() @ head.rows.T + head.offsets
    lowest = rows.new_full((len(rows), classes), -1e4)
    return lowest.scatter_reduce(1, head.classes.expand(len(rows), -1), rows, "amax")


def _stroke(
    guess: np.ndarray, truth: np.ndarray, rng: np.random.Generator, *, largest: bool, whole: bool
) -> tuple[np.ndarray, int] | None:
    """Flat cells and class of a stroke in a wrong region; None if nothing is wrong."""
    wrong = (guess != truth) & (truth != VOID)
    regions = []
    for kind in rng.permutation(np.unique(truth[wrong])):
        places, count = ndimage.label(wrong & (truth == kind))
        sizes = np.bincount(places.ravel(), minlength=count + 1)[1:]
        if sizes.max() > 1:
            regions.append((int(sizes.max()), places == sizes.argmax() + 1, int(kind)))
    if not regions:
        return None
    _, region, kind = max(regions, key=lambda one: one[0]) if largest else regions[0]
    rows, columns = region.nonzero()
    if whole:
        near = np.linspace(0, len(rows) - 1, min(16, len(rows))).astype(np.int64)
    else:
        centre = rng.integers(len(rows))
        away = (rows - rows[centre]) ** 2 + (columns - columns[centre]) ** 2
        near = np.argsort(away, kind="stable")[:8]  # about 30 of the cells of features
    return rows[near] * SIDE + columns[near], kind


def _order(
    train: Cells,
    head: Head,
    classes: int,
    touched: np.ndarray,
    rng: np.random.Generator,
    *,
    gain: bool,
) -> list[int]:
    if not gain:
        order: list[int] = np.lexsort((rng.random(len(touched)), touched)).tolist()
        return order
    chances = torch.stack([_logits(head, one, classes).softmax(1) for one in train.features])
    certain, best = chances.max(2)  # (I, cells)
    shares, doubts = (
        torch.zeros(len(best), classes).scatter_add_(1, best, values / best.shape[1])
        for values in (torch.ones_like(certain), 1 - certain)
    )
    means = F.normalize(train.features.float().mean((1, 2)), dim=1).numpy()
    order = image_order(Doubts(shares.numpy(), doubts.numpy(), means), touched)[0].tolist()
    return order


ALONE = "strokes alone"  # no clusters, so no masks before the first stroke
CURVES = (
    "names, strokes in random order",
    "names, strokes in queue order",
    "names, whole regions in random order",
    "right names, random order",
    ALONE,
)


# --- output


def _table(name: str, curves: dict[str, list[Scores]]) -> None:
    """Mean and standard deviation over seeds, and mIoU over that of the probe."""
    probe = np.array([runs[0] for runs in curves["probe"]])
    print(f"\n{name}: probe {probe[:, 0].mean():.1f} / {probe[:, 1].mean():.1f}\n")
    print(f"| strokes | {' | '.join(map(str, STROKES))} |")
    print("|---|" + "--:|" * len(STROKES))
    for curve in CURVES:
        values = np.array(curves[curve])  # (seeds, strokes, 2)
        ratio = (values[..., 1] / probe[:, None, 1]).mean(0)
        means, spread = values.mean(0), values.std(0, ddof=1) if len(values) > 1 else 0 * values[0]
        cells = [
            f"{a:.1f} / {m:.1f} ± {sd:.1f} ({part:.2f})"
            for (a, m), (_, sd), part in zip(means, spread, ratio, strict=True)
        ]
        if curve == ALONE:
            cells[0] = "-"
        print(f"| {curve} | {' | '.join(cells)} |")


def _plot(found: dict[str, dict[str, list[Scores]]]) -> str:
    """An SVG with a chart of each set: mIoU by minutes, and the probe as a ceiling."""
    names = ("probe", *CURVES)
    key = "".join(
        f'<line x1="{10 + 300 * (n % 3)}" x2="{35 + 300 * (n % 3)}" y1="{12 + 18 * (n // 3)}" '
        f'y2="{12 + 18 * (n // 3)}" {stroke(n)}/>'
        f'<text x="{40 + 300 * (n % 3)}" y="{16 + 18 * (n // 3)}">{name}</text>'
        for n, name in enumerate(names)
    )
    charts = []
    for place, (data, curves) in enumerate(found.items()):
        lines, last = [], (64 * NAME + STROKES[-1] * STROKE) / 60
        ceiling = float(np.mean([runs[0][1] for runs in curves["probe"]]))
        lines.append(Line("probe", stroke(0), ((0.0, ceiling), (last, ceiling))))
        for number, curve in enumerate(CURVES, 1):
            naming = 0.0 if curve == ALONE else 64 * NAME
            means = np.array(curves[curve])[..., 1].mean(0)
            points = [
                ((naming + count * STROKE) / 60, float(mean))
                for count, mean in zip(STROKES, means, strict=True)
                if count or curve != ALONE
            ]
            lines.append(Line(curve, stroke(number), tuple(points)))
        drawn = chart(f"{data}: mIoU % by minutes of a person", lines)
        spot = (
            f'<svg x="{310 * (place % 3)}" y="{50 + 210 * (place // 3)}" width="300" height="200" '
        )
        charts.append(drawn.replace("<svg ", spot, 1))
    height = 50 + 210 * -(-len(found) // 3)
    style = (
        "svg{font:11px sans-serif;background:#fff;fill:#222}.title{font-weight:600}"
        ".grid{stroke:#222;stroke-opacity:.18}.line,line{fill:none;stroke-width:1.6}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 930 {height}"><style>{style}</style>'
        f'<rect width="930" height="{height}" fill="#fff"/>{key}{"".join(charts)}</svg>\n'
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="+", help="labelled folder with two splits")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="an .svg to write")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""`picie evaluate`."""

import json
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from picie.cli.arguments import Evaluate
from picie.cli.predict import adjusted
from picie.errors import ConfigError
from picie.evaluation.scoring import Evaluation, evaluate
from picie.inference.segmenter import load
from picie.metrics.groups import READINGS
from picie.metrics.scores import Scores
from picie.runtime.files import write_atomically
from picie.runtime.progress import Reporter
from picie.visualization.confusion_matrix import write_confusion

__all__ = ["run", "show"]


def run(options: Evaluate) -> None:
    """Score, print the tables, and write the files."""
    if options.fresh_clusters < 0:
        raise ConfigError(f"--fresh-clusters {options.fresh_clusters}: give 0 or more")
    if options.confusion is not None and options.confusion.suffix.lower() != ".png":
        raise ConfigError(f"--confusion {options.confusion}: give a file that ends in .png")
    for file in (options.json, options.confusion):
        if file is not None:  # fail before scoring if the folder cannot be created
            file.parent.mkdir(parents=True, exist_ok=True)
    reporter = Reporter(quiet=options.quiet)
    model = load(options.run, device=options.device, named=False)
    evaluation = evaluate(
        adjusted(model, options),
        options.data,
        split=options.split,
        dataset=options.dataset,
        size=options.size,
        crop=options.crop,
        match=options.match,
        fresh_clusters=options.fresh_clusters,
        bootstrap=options.bootstrap,
        bootstrap_rematch=options.bootstrap_rematch,
        probe=None if options.probe == "none" else options.probe,
        probe_split=options.probe_split,
        neighbours=options.neighbours,
        seed=options.seed,
        reporter=reporter,
    )
    show(evaluation)
    if options.json is not None:
        write_atomically(options.json, json.dumps(evaluation.to_json(), indent=2).encode())
        reporter.say(f"scores in {options.json}")
    if options.confusion is not None:
        _draw_confusion(evaluation.scores, options.confusion)
        reporter.say(f"confusion matrix in {options.confusion}")


def show(evaluation: Evaluation) -> None:
    """Print the per-class table, the totals and any optional results on standard output."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    scores, protocol = evaluation.scores, evaluation.scores.protocol
    console.print(_class_table(scores))
    console.print(
        f"{_totals(scores)} "
        f"({protocol['images']} images, {protocol['size']} px, crop {protocol['crop']}, "
        f"K = {protocol['clusters']}, {protocol['matching']}, {protocol['centroids']})"
    )
    _show_intervals(console, evaluation)
    for number, other in enumerate(evaluation.other_views, 2):
        console.print(f"with the centroids of view {number}: {_totals(other)}")
    if evaluation.fresh:
        accuracy, miou = evaluation.spread("accuracy"), evaluation.spread("miou")
        console.print(
            f"with fresh centroids, mean and sd of {len(evaluation.fresh)}: "
            f"accuracy {accuracy['mean']:.1f} ± {accuracy['sd']:.1f} %, "
            f"mIoU {miou['mean']:.1f} ± {miou['sd']:.1f} %"
        )
    _show_groups(console, scores)
    _show_probes(console, evaluation.probes)


def _class_table(scores: Scores) -> Table:
    clusters: dict[str, list[str]] = {name: [] for name in scores.classes}
    for cluster, owner in scores.mapping.items():
        if owner is not None:
            clusters[owner].append(str(cluster))
    table = _table("class", "IoU %", "recall %", "precision %", "pixels %", texts=("clusters",))
    for name in scores.classes:
        values = (scores.iou, scores.recall, scores.precision, scores.share)
        table.add_row(name, *(_number(metric[name]) for metric in values), " ".join(clusters[name]))
    return table


def _show_intervals(console: Console, evaluation: Evaluation) -> None:
    if evaluation.intervals is None:
        return
    intervals = evaluation.intervals
    (low, high), (least, most) = intervals.accuracy, intervals.miou
    console.print(
        f"95 % interval over {intervals.resamples} resamples of {intervals.images} images: "
        f"accuracy {low:.1f} to {high:.1f} %, mIoU {least:.1f} to {most:.1f} % "
        f"(matching: {intervals.matching})"
    )


def _show_groups(console: Console, scores: Scores) -> None:
    if not scores.groups:
        return
    table = _table("group of classes", "accuracy %", "mIoU %", texts=("reading",))
    for name, readings in scores.groups.items():
        for reading, score in readings.items():
            table.add_row(name, _number(score.accuracy), _number(score.miou), reading)
    console.print(table)
    console.print("readings of a group, not comparable with one another:")
    for reading, meaning in READINGS.items():
        console.print(f"  {reading}: {meaning}")


def _show_probes(console: Console, probes: dict[str, Scores]) -> None:
    if not probes:
        return
    table = _table("probe (USES LABELS)", "accuracy %", "mIoU %", texts=("labels of",))
    for kind, scores in probes.items():
        split = str(scores.protocol["probe_split"])
        table.add_row(kind, _number(scores.accuracy), _number(scores.miou), split)
    console.print(table)
    for scores in probes.values():
        console.print(f"  {scores.protocol['probe']}")


def _table(first: str, *numbers: str, texts: tuple[str, ...]) -> Table:
    table = Table(first, *numbers, *texts)
    for column in table.columns[1 : 1 + len(numbers)]:
        column.justify = "right"
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _totals(scores: Scores) -> str:
    return f"accuracy {scores.accuracy:.1f} %, mIoU {scores.miou:.1f} %"


def _draw_confusion(scores: Scores, path: Path) -> None:
    ids = {name: label for label, name in enumerate(scores.classes)}
    owners = [-1 if owner is None else ids[owner] for owner in scores.mapping.values()]
    protocol = scores.protocol
    title = (
        f"{_totals(scores)}: {Path(protocol['data']).name}, {protocol['split']}, "
        f"{protocol['matching'].split(' (')[0]}"
    )
    write_confusion(path, np.array(scores.confusion), scores.classes, owners, title=title)

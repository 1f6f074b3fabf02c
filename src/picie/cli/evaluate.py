"""`picie evaluate`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.table import Table

from picie.cli.arguments import Evaluate
from picie.cli.predict import adjusted
from picie.cli.tables import whole_names
from picie.data.datasets.registry import open_dataset
from picie.errors import ConfigError
from picie.evaluation.scoring import Evaluation, evaluate
from picie.inference.plan import inputs_of
from picie.inference.segmenter import Segmenter, load
from picie.metrics.groups import READINGS
from picie.metrics.scores import Scores, how_matched
from picie.runtime.documents import parse_object
from picie.runtime.files import write_atomically, writing
from picie.runtime.outputs import NAMELESS, check_distinct, check_output
from picie.runtime.progress import PlainConsole, Reporter
from picie.visualization.confusion_matrix import write_confusion
from picie.visualization.masks import is_signed_png

__all__ = ["run", "show"]

_MOST_SETS = 1000  # each takes as long as the last clustering of a training


def run(options: Evaluate) -> None:
    """Score, print the tables, and write the files."""
    if not 0 <= options.fresh_clusters <= _MOST_SETS:
        raise ConfigError(f"--fresh-clusters {options.fresh_clusters}: give 0 to {_MOST_SETS}")
    if options.confusion is not None and options.confusion.suffix.lower() != ".png":
        raise ConfigError(f"--confusion {options.confusion}: give a file that ends in .png")
    if options.named and options.clusters_only:
        raise ConfigError("--named and --clusters-only contradict each other; remove one")
    reporter = Reporter(quiet=options.quiet)
    model = load(options.run, device=options.device, named=not options.clusters_only)
    _check_files(options, model)
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
        named=False if options.clusters_only else options.named or None,
        **vars(options.masks),
        reporter=reporter,
    )
    to_pipe = options.json == NAMELESS
    show(evaluation, stderr=to_pipe)
    text = json.dumps(evaluation.to_json(), indent=2)
    if to_pipe:
        sys.stdout.write(f"{text}\n")
    elif options.json is not None:
        write_atomically(options.json, text.encode())
        reporter.say(f"scores in {options.json}")
    if options.confusion is not None:
        _draw_confusion(evaluation.scores, options.confusion)
        reporter.say(f"confusion matrix in {options.confusion}")


def _check_files(options: Evaluate, model: Segmenter) -> None:
    """Fail before scoring if a file must not or cannot be written."""

    def inputs() -> Iterator[str | Path]:
        for split in [options.split, options.probe_split][: 1 + bool(options.probe_split)]:
            yield from inputs_of(model, open_dataset(options.dataset, options.data, split))

    files = []
    for flag, file, is_own in (
        ("--json", options.json, _is_scores),
        ("--confusion", options.confusion, is_signed_png),
    ):
        if file is None or file == NAMELESS:
            continue
        check_output(file, is_own, inputs=inputs, flag=flag)
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
        files.append((file.resolve().as_posix(), flag))
    check_distinct(Path(), lambda: files, "give two files")


def _is_scores(path: Path) -> bool:
    """Whether a file holds what `Evaluation.to_json` gives."""
    values = parse_object(path.read_bytes()) or {}
    return {"miou", "mapping", "protocol", "confusion"} <= set(values)


def show(evaluation: Evaluation, *, stderr: bool = False) -> None:
    """Print the per-class table, the totals and any optional results.

    Args:
        evaluation: what to show.
        stderr: print on standard error instead of standard output.
    """
    console = PlainConsole(stderr=stderr)
    scores, protocol = evaluation.scores, evaluation.scores.protocol
    console.print(_class_table(scores))
    names = "USES NAMES, " if protocol.get("uses_names") else ""
    console.print(
        f"{_totals(scores)} "
        f"({names}{protocol['images']} images, {protocol['size']} px, crop {protocol['crop']}, "
        f"{how_matched(protocol)})"
    )
    if scores.void_share is not None:
        console.print(f"void: {scores.void_share:.1f} % of the pixels, not scored")
    for note in (*_outside(scores), *evaluation.notes):
        console.print(f"note: {note}")
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
    """A line for each class; its clusters, or the names of the model that are its name."""
    columns = scores.protocol.get("columns")
    owned: dict[str, list[str]] = {name: [] for name in scores.classes}
    for cluster, owner in scores.mapping.items():
        if owner is not None:
            owned[owner].append(columns[cluster] if columns else str(cluster))
    last = "named (USES NAMES)" if columns else "clusters"
    table = _table("class", "IoU %", "recall %", "precision %", "pixels %", texts=(last,))
    joint = ", " if columns else " "
    for name in scores.classes:
        values = (scores.iou, scores.recall, scores.precision, scores.share)
        table.add_row(name, *(_number(metric[name]) for metric in values), joint.join(owned[name]))
    return whole_names(table, 0)


def _outside(scores: Scores) -> list[str]:
    """How much was predicted as no class, if names were scored."""
    shares: dict[str, float] = scores.protocol.get("without_class", {})
    if not shares:
        return []
    parts = ", ".join(f"{name} {share:.1f} %" for name, share in shares.items())
    total = sum(shares.values())
    if total < 0.05:
        return []
    return [f"{total:.1f} % of the labelled pixels are in no class ({parts}) and count as errors"]


def _show_intervals(console: PlainConsole, evaluation: Evaluation) -> None:
    if evaluation.intervals is None:
        return
    intervals = evaluation.intervals
    (low, high), (least, most) = intervals.accuracy, intervals.miou
    console.print(
        f"95 % interval over {intervals.resamples} resamples of {intervals.images} images: "
        f"accuracy {low:.1f} to {high:.1f} %, mIoU {least:.1f} to {most:.1f} % "
        f"(matching: {intervals.matching})"
    )


def _show_groups(console: PlainConsole, scores: Scores) -> None:
    if not scores.groups:
        return
    table = _table("group of classes", "accuracy %", "mIoU %", texts=("reading",))
    for name, readings in scores.groups.items():
        for reading, score in readings.items():
            table.add_row(name, _number(score.accuracy), _number(score.miou), reading)
    console.print(table)
    console.print("readings of a group, not comparable with one another:")
    for reading in next(iter(scores.groups.values())):
        console.print(f"  {reading}: {READINGS[reading]}")


def _show_probes(console: PlainConsole, probes: dict[str, Scores]) -> None:
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

"""`picie evaluate`."""

import json

from rich.console import Console
from rich.table import Table

from picie.commands.arguments import Evaluate
from picie.errors import ConfigError
from picie.evaluation import Evaluation, evaluate
from picie.inference import load
from picie.progress import Reporter
from picie.runs import write_atomically

__all__ = ["run", "show"]


def run(options: Evaluate) -> None:
    """Score, print the table, and write the JSON."""
    if options.fresh_clusters < 0:
        raise ConfigError(f"--fresh-clusters {options.fresh_clusters}: give 0 or more")
    if options.json is not None:  # a folder that cannot be made is better known before scoring
        options.json.parent.mkdir(parents=True, exist_ok=True)
    reporter = Reporter(quiet=options.quiet)
    found = evaluate(
        load(options.run, device=options.device),
        options.data,
        split=options.split,
        dataset=options.dataset,
        size=options.size,
        crop=options.crop,
        match=options.match,
        fresh_clusters=options.fresh_clusters,
        reporter=reporter,
    )
    show(found)
    if options.json is not None:
        write_atomically(options.json, json.dumps(found.to_json(), indent=2).encode())
        reporter.say(f"scores in {options.json}")


def show(found: Evaluation) -> None:
    """Print the per-class table and the totals on standard output."""
    scores = found.scores
    clusters: dict[str, list[str]] = {name: [] for name in scores.classes}
    for cluster, name in scores.mapping.items():
        if name is not None:
            clusters[name].append(str(cluster))
    table = Table("class", "IoU %", "clusters")
    table.columns[1].justify = "right"
    for name in scores.classes:
        iou = scores.iou[name]
        table.add_row(name, "-" if iou is None else f"{iou:.1f}", " ".join(clusters[name]))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(table)
    protocol = scores.protocol
    console.print(
        f"accuracy {scores.accuracy:.1f} %, mIoU {scores.miou:.1f} % "
        f"({protocol['images']} pictures, {protocol['size']} px, crop {protocol['crop']}, "
        f"K = {protocol['clusters']}, {protocol['matching']}, {protocol['centroids']})"
    )
    for number, other in enumerate(found.other_views, 2):
        console.print(
            f"with the centroids of view {number}: accuracy {other.accuracy:.1f} %, "
            f"mIoU {other.miou:.1f} %"
        )
    if found.fresh:
        accuracy, miou = found.spread("accuracy"), found.spread("miou")
        console.print(
            f"with fresh centroids, mean and sd of {len(found.fresh)}: "
            f"accuracy {accuracy['mean']:.1f} ± {accuracy['sd']:.1f} %, "
            f"mIoU {miou['mean']:.1f} ± {miou['sd']:.1f} %"
        )

"""`picie info`."""

import fnmatch
import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from picie.cli.arguments import Info
from picie.clustering.tree import suggest_clusters
from picie.config import BACKBONES, MACHINE, PRESETS, Config, implied_settings, make_config
from picie.errors import ConfigError
from picie.metrics.health import MEASURES, health_warnings
from picie.models.class_names import read_classes
from picie.models.stored import read_card, read_tree
from picie.runs import Run
from picie.runtime.progress import PlainConsole

__all__ = ["run"]


def run(options: Info) -> None:
    """Print settings and progress of a run, or names of backbones; no network is loaded."""
    if options.backbones:
        if options.run is not None:
            raise ConfigError("give a run folder or --backbones, not both")
        _print_backbones(options.backbones)
        return
    if options.run is None:
        raise ConfigError(
            "which run? Give its folder: picie info runs/first, or see picie info --help"
        )
    opened = Run.open(options.run)
    config, metrics, tree = opened.config, opened.metrics(), _tree(opened)
    console = PlainConsole()
    console.print(f"{opened.folder} (picie {opened.version})")
    console.print(f"images     {config.data}" + (f", split {config.split}" if config.split else ""))
    layers = " ".join(map(str, config.backbone_layers))
    network = config.backbone + f" (layers {layers})" * bool(layers)
    console.print(f"network    {network}, {config.clusters} clusters, {config.size} px")
    console.print(f"objective  {config.objective}")
    preset, changed = _nearest_preset(config)
    console.print(f"preset     {preset}" + (f", except {', '.join(changed)}" if changed else ""))
    console.print(f"epochs     {len(metrics)} of {config.epochs} done")
    console.print(f"model      {_state(opened)}")
    if tree is not None:
        console.print(
            f"clusters   {config.clusters}; any number up to {len(tree) + 1} with picie predict "
            f"--clusters; widest gap in the tree: {suggest_clusters(tree)} (a weak hint)"
        )
    if opened.names_path.exists():
        console.print(f"names      {_names(opened)}")
    if metrics:
        console.print(_table(metrics))
    health = opened.health()
    if health:
        console.print("health (no labels used)")
        for label, value in _labelled(health):
            console.print(f"  {label} {value:.3g}")
        for warning in health_warnings(health):
            console.print(f"  warning: {warning}")


def _labelled(health: Mapping[str, float]) -> Iterator[tuple[str, float]]:
    """Each measure after its label; all labels are of one width."""
    labels = [
        MEASURES[name].label if name in MEASURES else name.replace("_", " ") for name in health
    ]
    width = max(map(len, labels))
    yield from zip((label.ljust(width) for label in labels), health.values(), strict=True)


def _print_backbones(pattern: str) -> None:
    from picie.models.backbones import list_backbones  # late, because it loads torch

    names = list_backbones(pattern)
    if not names:
        raise ConfigError(
            f"--backbones {pattern}: timm has weights for no network of this name; try a shorter "
            "part of the name, or * for all"
        )
    sys.stdout.write("\n".join(names) + "\n")
    for kind, settings in BACKBONES.items():
        if fnmatch.filter(names, kind):
            values = ", ".join(f"{name} {value}" for name, value in settings.items())
            sys.stderr.write(f"{kind}: {values}, unless you give others\n")


def _tree(opened: Run) -> NDArray[np.float64] | None:
    """The tree of a finished model that has one.

    Raises:
        ModelError: its files are not whole.
    """
    if not opened.model_path.exists():
        return None
    read_card(opened.folder)
    return read_tree(opened.folder)


def _state(opened: Run) -> str:
    if not opened.model_path.exists():
        return f"unfinished; resume with: picie train --resume {shlex.quote(str(opened.folder))}"
    megabytes = opened.model_path.stat().st_size / 1e6
    return f"{opened.model_path} ({megabytes:.1f} MB)"


def _names(opened: Run) -> str:
    try:
        classes = read_classes(opened.names_path).merged
    except ConfigError as error:
        return f"unusable: {error}"
    names = ", ".join(
        f"{named_class.name} (void)" if named_class.ignore else named_class.name
        for named_class in classes
    )
    return f"{names or 'none yet'} ({opened.names_path})"


def _nearest_preset(config: Config) -> tuple[str, list[str]]:
    """The preset with the fewest differences, and these differences; data settings do not count.

    Settings that the objective or the backbone implies are none.
    """
    implied = implied_settings(config.backbone)
    excluded = {"data", "split", "dataset", "clusters", "seed", "eval_split", *MACHINE}
    values = config.model_dump(exclude=excluded)
    differences = {}
    for name in PRESETS:
        chosen = make_config(name, objective=config.objective, **implied)
        preset = chosen.model_dump(exclude=excluded)
        differences[name] = [f"{k} = {json.dumps(v)}" for k, v in values.items() if preset[k] != v]
    nearest = min(differences, key=lambda name: len(differences[name]))
    return nearest, differences[nearest]


def _table(metrics: list[dict[str, Any]]) -> Table:
    scored = any("miou" in record for record in metrics)
    losses = [n for n in ("loss", "within", "cross", "mutual_information") if n in metrics[0]]
    names = ["epoch", *(name.replace("_", " ") for name in losses), "effective clusters", "s"]
    table = Table(*names, *(["accuracy", "mIoU"] if scored else []))
    for record in metrics:
        row = [
            str(record["epoch"] + 1) if "epoch" in record else "",
            *(_number(record.get(name), ".4f") for name in losses),
            " ".join(_number(value, ".1f") for value in record.get("effective_clusters", ())),
            _number(sum(record.get("seconds", {}).values()), ".0f"),
        ]
        if scored:
            row += [_number(record.get(name), ".1f") for name in ("accuracy", "miou")]
        table.add_row(*row)
    return table


def _number(value: float | None, form: str) -> str:
    """A number of metrics.jsonl, in which those that are not finite are null."""
    return "" if value is None else format(value, form)

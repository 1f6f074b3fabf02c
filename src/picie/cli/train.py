"""`picie train`."""

import sys
from pathlib import Path
from shlex import quote
from statistics import median

from picie.cli.arguments import Train
from picie.config import MACHINE, Config, allowed, check_setting, make_config
from picie.data.datasets.registry import open_dataset
from picie.data.folder import Photo
from picie.data.images import upright_size
from picie.errors import ConfigError, DataError
from picie.inference.segmenter import Segmenter
from picie.naming.questions import START
from picie.runs import WEIGHTS_FILE, Run
from picie.runtime.distributed import leave_processes
from picie.runtime.launch import follows, launched
from picie.runtime.progress import Reporter
from picie.runtime.storage import is_address
from picie.training.loop import resume, train

__all__ = ["ask_clusters", "next_lines", "run", "size_hint"]

_QUESTION = (
    "How many clusters? Two or three times as many as kinds of things to tell apart.\n"
    "You can change this later, without training. [{start}] "
)
_HEADERS = 32  # photos whose size is looked up
_CLEARLY = 1.4  # times the base size: the short side of clearly larger photos
_LARGEST = 480  # side suggested: more costs much time


def run(options: Train, config: Config, chosen: bool = True) -> None:
    """Train, or resume an interrupted run; then say what to do next.

    Args:
        options: from the flags.
        config: the settings.
        chosen: whether anyone chose the number of clusters; else a person is asked, if there is
            one at the terminal.
    """
    asked = None
    if not (chosen or options.quiet or config.learns_classifier):
        Run.check_free(options.out or Path(), overwrite=options.overwrite)
        asked = ask_clusters() if Path(config.data).exists() else None
    if asked is not None:
        config, chosen = make_config(**config.model_dump() | {"clusters": asked}), True
    if options.resume is not None:
        machine = {name: getattr(config, name) for name in MACHINE}
        model = resume(
            options.resume,
            quiet=options.quiet,
            profile=options.profile,
            accept_changes=options.accept_changes,
            **machine,
        )
    else:
        assert options.out is not None  # checked when parsing
        if options.config is not None:
            file = options.config
            Run(options.out, config, "").check_apart(lambda: [file])
        model = train(
            config.data,
            options.out,
            split=config.split,
            config=config,
            overwrite=options.overwrite,
            quiet=options.quiet,
            profile=options.profile,
        )
    if not follows():
        reporter = Reporter(quiet=options.quiet)
        folder = options.resume or options.out
        assert folder is not None
        for line in next_lines(model, folder, config, chosen=chosen):
            reporter.say(line)
    leave_processes()


def ask_clusters() -> int | None:
    """Ask the person at the terminal for K; None if there is no person, or no answer."""
    if launched()[0] > 1 or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    while True:
        sys.stdout.write(_QUESTION.format(start=START))
        sys.stdout.flush()
        answer = sys.stdin.readline()
        if not answer:
            return None
        try:
            clusters = int(answer.strip() or START)
            check_setting("clusters", clusters)
        except (ValueError, ConfigError):
            sys.stdout.write(f"give {allowed('clusters')}\n")
        else:
            return clusters


def next_lines(model: Segmenter, folder: Path, config: Config, *, chosen: bool = True) -> list[str]:
    """What to know and to do after training.

    Args:
        model: the trained model.
        folder: its run folder.
        config: its settings.
        chosen: whether anyone chose the number of clusters.
    """
    run, photos = quote(str(folder)), quote(config.data)
    kept = model.network.centroid_set()
    why = "" if chosen else ", the default, as --clusters was not given"
    lines = [f"{kept.clusters} clusters{why}"]
    if not kept.learnt:
        lines[0] += (
            f"; any number from 2 to {len(kept.points)} without training: picie name {run} "
            "--clusters K"
        )
    lines.append(f"model: {folder / WEIGHTS_FILE}; numbers: picie info {run}")
    lines += filter(None, [size_hint(config)])
    split = f" --split {quote(config.split)}" if config.split else ""
    if config.dataset:
        lines.append(f"next:  picie evaluate {run} {photos} --dataset {config.dataset}")
    elif is_address(config.data):
        lines.append(f"next:  picie predict {run} {photos}{split} --out masks/ --overlay")
    else:
        report = quote(str(folder / "report.html"))
        lines.append(f"next:  picie studio {run} {photos}{split}")
        lines.append(f"or:    picie report {run} {photos}{split} --out {report}")
    return lines


def size_hint(config: Config) -> str:
    """What to try if the photos are clearly larger than what the network sees of them.

    The headers of at most 32 photos are read. Nothing is said if anyone chose another size, of a
    known data set, which is scored at one size, or of photos that are not on this machine.

    Args:
        config: of the training.

    Returns:
        "" if there is nothing to say.
    """
    base, usual = config.base_size, make_config()
    if (config.size, base) != (usual.size, usual.base_size):
        return ""
    if config.dataset or is_address(config.data):
        return ""
    try:
        photos = open_dataset("", config.data, config.split).photos
    except DataError:  # moved meanwhile
        return ""
    sides = [side for photo in photos[:: -(-len(photos) // _HEADERS)] if (side := _side(photo))]
    short = median(sides) if sides else 0
    if short < _CLEARLY * base:
        return ""
    larger = min(32 * round(short / 32), _LARGEST)
    times = (larger / config.size) ** 2
    return (
        f"photos have {short:.0f} px on the short side, the network saw {base}: if small things "
        f"matter, train with --size {larger} --base-size {larger} (about {times:.0f} times the "
        "time)"
    )


def _side(photo: Photo) -> int:
    """The short side in pixels; 0 if it is not known from the header."""
    try:
        return 0 if photo.page else min(upright_size(photo.path))
    except DataError:
        return 0

"""Records of finished runs: one JSON file each, with everything needed to judge a result.

format, suite, slug, system, preset, seed, backbone
data       name, dataset, synthetic, splits, number of images and a digest of them
evaluate   the protocol of the suite
config     every setting
scores     Evaluation.to_json()
probe      of the runs whose features a probe learns from: its scores, from `probe_features`
curves     the records of metrics.jsonl
health     health.json of the run folder, or null
seconds    train, evaluate, and the sums of the epochs' parts; resumed: train was interrupted
versions   picie, python, torch, torchvision, timm, numpy
commit     of the source if it is a checkout, and whether it was modified; or null
machine    system, processor, cores, threads, accelerator
finished   date and time, UTC
"""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from picie.benchmark.plan import Job
from picie.config import MACHINE, Config, make_config
from picie.errors import ConfigError, ModelError, PicieError
from picie.runs import Run
from picie.runtime.documents import parse_object
from picie.runtime.files import write_atomically
from picie.version import __version__

__all__ = [
    "FORMAT",
    "JobStatus",
    "State",
    "differences",
    "find_standing",
    "make_record",
    "read_note",
    "read_record",
    "setting_differences",
    "surroundings",
    "write_json",
]

FORMAT = 1
"""Version of the records that this picie writes; newer ones are refused."""

_PLACE = {"data", *MACHINE}
"""Settings that describe where a run took place and do not affect its result."""


def surroundings() -> dict[str, Any]:
    """Versions, commit and machine of this process."""
    packages = ("torch", "torchvision", "timm", "numpy")
    return {
        "versions": {
            "picie": __version__,
            "python": platform.python_version(),
            **{name: metadata.version(name) for name in packages},
        },
        "commit": _commit(Path(__file__).parents[3]),
        "machine": {
            "system": platform.system(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        },
    }


def make_record(
    job: Job,
    *,
    suite: str,
    images: Mapping[str, Any],
    evaluate: Mapping[str, Any],
    scores: Mapping[str, Any],
    seconds: Mapping[str, Any],
    around: Mapping[str, Any],
    probe: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The record of a scored run.

    Args:
        job: the run.
        suite: title of the suite.
        images: from `describe_images`.
        evaluate: the protocol of the suite.
        scores: `Evaluation.to_json()`.
        seconds: train, evaluate and resumed.
        around: from `surroundings`.
        probe: from `probe_features`, if one learns from the features of this run.
    """
    run = Run.open(job.folder)
    curves = run.metrics()
    return {
        "format": FORMAT,
        "suite": suite,
        "slug": job.slug,
        "system": job.system.name,
        "preset": job.system.preset,
        "seed": job.seed,
        "backbone": job.backbone,
        "data": _identity(job) | {"pictures": dict(images)},
        "evaluate": dict(evaluate),
        "config": job.config.model_dump(mode="json"),
        "scores": dict(scores),
        **({"probe": dict(probe)} if probe else {}),
        "curves": curves,
        "health": run.health() or None,
        "seconds": dict(seconds) | {"parts": _parts(curves)},
        **around,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def read_record(path: Path) -> dict[str, Any] | None:
    """A record; None if there is none.

    Raises:
        ModelError: it is damaged, or written by a newer picie.
    """
    try:
        record = json.loads(path.read_bytes())
        written = int(record["format"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path}: is not a record of a run ({error}); remove it") from None
    if written > FORMAT:
        raise ModelError(
            f"{path}: was written by a newer picie (format {written}, this one reads up to "
            f"{FORMAT}); upgrade picie"
        )
    return dict(record)


def differences(
    record: Mapping[str, Any],
    job: Job,
    *,
    images: Mapping[str, Any] | None,
    evaluate: Mapping[str, Any],
) -> list[str]:
    """How a record differs from the current suite; empty if it still matches.

    Args:
        record: from `read_record`.
        job: the run in the current suite.
        images: from `describe_images`; None if they are missing.
        evaluate: the protocol of the suite.
    """
    try:  # settings that the record does not have yet get their defaults
        config = make_config(**record["config"])
    except ConfigError as error:
        return [str(error)]
    changes = setting_differences(config, job.config)
    data = record["data"]
    wanted = json.loads(json.dumps(_identity(job)))
    changes += _changed("data", {key: data.get(key) for key in wanted}, wanted)
    if images is not None:
        changes += [
            f"data: the images of {role} have changed"
            for role in images
            if data["pictures"][role] != images[role]
        ]
    return changes + _changed("[evaluate]", record["evaluate"], evaluate)


def setting_differences(before: Config, after: Config, *, place: bool = False) -> list[str]:
    """Settings in which two configurations differ, without those of the machine.

    Args:
        before: of the run.
        after: of the suite.
        place: also compare the folder of the images.
    """
    hidden = set(MACHINE) if place else _PLACE
    old, new = before.model_dump(exclude=hidden), after.model_dump(exclude=hidden)
    return _changed("", old, new)


def write_json(path: Path, values: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write a JSON file atomically; NaN and infinite numbers become null.

    Raises:
        PicieError: it cannot be written.
    """
    finite = json.loads(json.dumps(values), parse_constant=lambda _: None)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(finite, indent=1) + "\n").encode())


def _identity(job: Job) -> dict[str, Any]:
    keys = ("name", "dataset", "synthetic", "train", "eval")
    return {key: value for key, value in job.data.model_dump().items() if key in keys}


def _changed(where: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    old, new = (json.loads(json.dumps(dict(values))) for values in (before, after))
    keys = [key for key in {**new, **old} if old.get(key) != new.get(key)]
    return [
        f"{where} {key} = {json.dumps(old.get(key))}, now {json.dumps(new.get(key))}".strip()
        for key in keys
    ]


def _parts(curves: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds of all epochs by part."""
    parts: dict[str, float] = {}
    for epoch in curves:
        for name, seconds in epoch.get("seconds", {}).items():
            parts[name] = round(parts.get(name, 0.0) + seconds, 2)
    return parts


def _commit(root: Path) -> dict[str, Any] | None:
    if not (root / ".git").exists():  # an installed package, not a checkout
        return None
    try:
        name = _git(root, "rev-parse", "HEAD")
        return {"id": name, "changed": bool(_git(root, "status", "--porcelain", "--", "src"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *args: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *args], capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout.strip()


def _processor() -> str:
    """The model name from Linux if available, which says more than x86_64."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


_PROTOCOL = "[evaluate]"


class State(StrEnum):
    """The progress of a run."""

    DONE = "done"
    TRAINED = "trained, not scored"
    STARTED = "interrupted"
    WAITING = "waiting"
    CHANGED = "changed"
    ABSENT = "no data"


@dataclass(frozen=True)
class JobStatus:
    """The progress of a run, and where to continue.

    Attributes:
        state: as shown to the user.
        todo: the state to continue from: WAITING, STARTED, TRAINED or DONE.
        changes: how the files differ from the suite; empty unless CHANGED.
    """

    state: State
    todo: State
    changes: tuple[str, ...] = ()


def find_standing(
    job: Job,
    *,
    images: Mapping[str, Any] | None,
    evaluate: Mapping[str, Any],
    probe: str = "",
) -> JobStatus:
    """Determine the progress of a run from its record, or else from its run folder.

    Args:
        job: the run.
        images: from `describe_images`; None if they are missing.
        evaluate: the protocol of the suite.
        probe: kind of the probe that learns from the features of this run; "" = none.

    Raises:
        ModelError: its record is damaged or too new.
    """
    record = read_record(job.record_path)
    if record is None:
        return _unfinished(job, images)
    changes = differences(record, job, images=images, evaluate=evaluate)
    if not changes:
        lacks_probe = probe and record.get("probe", {}).get("kind") != probe
        return _unfinished(job, images) if lacks_probe else JobStatus(State.DONE, State.DONE)
    # A different protocol alone needs no new training.
    trained = _unfinished(job, images).todo is State.TRAINED
    if trained and all(change.startswith(_PROTOCOL) for change in changes):
        return JobStatus(State.CHANGED, State.TRAINED, tuple(changes))
    return JobStatus(State.CHANGED, State.WAITING, tuple(changes))


def read_note(job: Job) -> dict[str, Any]:
    """The note of an unfinished run: images, seconds. Empty if missing or damaged."""
    try:
        return parse_object(job.note_path.read_bytes()) or {}
    except OSError:
        return {}


def _unfinished(job: Job, images: Mapping[str, Any] | None) -> JobStatus:
    if not (job.folder / "config.toml").is_file():
        return JobStatus(State.WAITING, State.WAITING)
    try:
        run = Run.open(job.folder)
    except PicieError as error:
        return JobStatus(State.CHANGED, State.WAITING, (str(error),))
    trained = run.model_config_path.is_file()  # written last
    # Training can be resumed only if the images are still in the same folder.
    changes = setting_differences(run.config, job.config, place=not trained)
    begun_with = read_note(job).get("pictures", images)
    if images is not None and begun_with != images:
        changes.append("data: the images have changed")
    if changes:
        return JobStatus(State.CHANGED, State.WAITING, tuple(changes))
    state = State.TRAINED if trained else State.STARTED
    return JobStatus(state, state)

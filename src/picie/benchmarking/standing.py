"""How far a run of a suite is, from the files that it left."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from picie.benchmarking.plan import Job
from picie.benchmarking.records import differences, read_record, setting_differences
from picie.errors import PicieError
from picie.runs import Run

__all__ = ["Standing", "State", "find_standing", "read_note"]

_PROTOCOL = "[evaluate]"


class State(StrEnum):
    """How far a run is."""

    DONE = "done"
    TRAINED = "trained, not scored"
    STARTED = "cut off"
    WAITING = "waiting"
    CHANGED = "changed"
    ABSENT = "no data"


@dataclass(frozen=True)
class Standing:
    """How far a run is, and what is to be done.

    Attributes:
        state: as it is shown.
        changes: in what the files differ from the suite; empty unless CHANGED.
        todo: the state to go on from: WAITING, STARTED, TRAINED or DONE.
    """

    state: State
    todo: State
    changes: tuple[str, ...] = ()


def find_standing(
    job: Job, *, pictures: Mapping[str, Any] | None, evaluate: Mapping[str, Any]
) -> Standing:
    """Look at the record of a run, or else at its run folder.

    Args:
        job: the run.
        pictures: from `describe_pictures`; None where they are not at hand.
        evaluate: the protocol of the suite.

    Raises:
        ModelError: its record is damaged or too new.
    """
    record = read_record(job.record_path)
    if record is None:
        return _unfinished(job, pictures)
    found = differences(record, job, pictures=pictures, evaluate=evaluate)
    if not found:
        return Standing(State.DONE, State.DONE)
    # Another protocol alone needs no new training.
    trained = _unfinished(job, pictures).todo is State.TRAINED
    if trained and all(change.startswith(_PROTOCOL) for change in found):
        return Standing(State.CHANGED, State.TRAINED, tuple(found))
    return Standing(State.CHANGED, State.WAITING, tuple(found))


def read_note(job: Job) -> dict[str, Any]:
    """What was written down of a run before it was finished: pictures, seconds."""
    try:
        note = json.loads(job.note_path.read_bytes())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _unfinished(job: Job, pictures: Mapping[str, Any] | None) -> Standing:
    if not (job.folder / "config.toml").is_file():
        return Standing(State.WAITING, State.WAITING)
    try:
        run = Run.open(job.folder)
    except PicieError as error:
        return Standing(State.CHANGED, State.WAITING, (str(error),))
    trained = run.model_config_path.is_file()  # written last
    # Training can only go on with pictures that lie where they lay.
    found = setting_differences(run.config, job.config, place=not trained)
    begun_with = read_note(job).get("pictures", pictures)
    if pictures is not None and begun_with != pictures:
        found.append("data: the pictures have changed")
    if found:
        return Standing(State.CHANGED, State.WAITING, tuple(found))
    state = State.TRAINED if trained else State.STARTED
    return Standing(state, state)

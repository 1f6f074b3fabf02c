"""What all processes of a run must share, on whichever machine they are."""

import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from picie.config import MACHINE, Config
from picie.data.folder import Photo
from picie.errors import ConfigError, DataError, ModelError
from picie.models.picie import PiCIE
from picie.models.storage import hash_tensors
from picie.runtime.distributed import Processes
from picie.runtime.printable import printable, shown

__all__ = ["check_alike"]

_PLACES = {"data", "backbone_weights"}  # may differ; what lies there may not
_THREADS = 8

_Entry = tuple[str, str]
"""Name of an image, and its size, or in a storage what its listing says of it."""


def check_alike(
    processes: Processes, config: Config, network: PiCIE, photos: Sequence[Photo]
) -> None:
    """Raise, in all processes, unless they have the same settings, weights and images.

    Args:
        processes: the processes of the run.
        config: all settings.
        network: at its start.
        photos: the images as this process sees them; names and sizes are compared.

    Raises:
        ConfigError: other settings; the message names the process and the first difference.
        ModelError: other weights of the backbone.
        DataError: other images.
    """
    if processes.count == 1:
        return
    entries = _entries(photos)
    mine = _settings(config), _weights(network), _digest(entries)
    for rank, (settings, weights, images) in enumerate(all_of := processes.gather(mine)):
        first, other = processes.members[0], processes.members[rank]
        if settings != all_of[0][0]:
            name = next(n for n in settings if settings[n] != all_of[0][0].get(n))
            raise ConfigError(
                f"{other} has {name} = {shown(settings[name])} and {first} has "
                f"{shown(all_of[0][0].get(name))}; start all processes with the same command"
            )
        if weights != all_of[0][1]:
            raise ModelError(
                f"{other} and {first} begin with different weights of {config.backbone}; use the "
                "same file of weights, and the same versions of timm and torch, on each machine"
            )
        if images != all_of[0][2]:
            _raise_difference(processes, config, entries)


def _raise_difference(processes: Processes, config: Config, entries: list[_Entry]) -> None:
    found = processes.gather(_difference(processes.first(entries), entries))
    rank = next(rank for rank, text in enumerate(found) if text)
    raise DataError(
        f"{config.data}: {processes.members[rank]} sees other images than {processes.members[0]}: "
        f"{found[rank]}; let every machine read the same folder, at the same path"
    )


def _difference(theirs: list[_Entry], mine: list[_Entry]) -> str:
    """The first image in which two lists differ, as text; "" if they agree."""
    missing, more = dict(theirs), dict(mine)
    for name in sorted(missing.keys() | more.keys()):
        if missing.get(name) != more.get(name):
            counts = f"{len(mine)} images instead of {len(theirs)}, " * (len(mine) != len(theirs))
            here, there = (entries.get(name, "missing") for entries in (more, missing))
            return f"{counts}{printable(name)} is {here} instead of {there}"
    return ""


def _entries(photos: Sequence[Photo]) -> list[_Entry]:
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(_entry, photos))


def _entry(photo: Photo) -> _Entry:
    if photo.stamp:
        return photo.name, photo.stamp
    try:
        return photo.name, f"{os.stat(photo.file).st_size} bytes"
    except OSError:
        return photo.name, "unreadable"


def _settings(config: Config) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(config.model_dump_json(exclude={*MACHINE, *_PLACES}))
    return settings


def _weights(network: PiCIE) -> str:
    digest = hashlib.sha256()
    hash_tensors(digest, network.state_dict())
    return digest.hexdigest()


def _digest(entries: list[_Entry]) -> str:
    digest = hashlib.sha256()
    for entry in entries:
        digest.update("\0".join((*entry, "\n")).encode(errors="surrogateescape"))
    return digest.hexdigest()

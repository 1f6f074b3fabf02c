"""Folders that appear whole or not at all, and replace nothing but their like."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from picie.errors import ConfigError, PicieError
from picie.runtime.files import PART

__all__ = ["MARK", "check_out", "whole_folder"]

MARK = ".picie-export.json"
"""File that says that a folder is an export, of what and by which version."""


def check_out(out: Path, *, overwrite: bool, sources: tuple[Path, ...] = ()) -> Path:
    """Refuse a folder that an export cannot become.

    Args:
        out: the folder to make.
        overwrite: whether an export that is already there may be replaced.
        sources: files and folders that must not be lost with it.

    Returns:
        its real path, without symbolic links.

    Raises:
        ConfigError: a file is there, or a folder that holds something and may not be replaced.
    """
    real = Path(os.path.realpath(out))
    if real.is_file():
        raise ConfigError(f"{out}: is a file; give a folder that does not exist yet as --out")
    if not real.name:
        raise ConfigError(f"{out}: cannot be an export; give a new folder as --out")
    if not real.is_dir() or not any(real.iterdir()):
        return real
    if not (real / MARK).is_file():
        raise ConfigError(
            f"{out}: holds files that are no export of picie, and is left as it is; choose "
            "another --out"
        )
    if not overwrite:
        raise ConfigError(
            f"{out}: is already there; choose another --out, or pass --overwrite to replace it"
        )
    for source in sources:
        if Path(os.path.realpath(source)).is_relative_to(real):
            raise ConfigError(f"{out}: holds {source}, which is read; choose another --out")
    return real


@contextmanager
def whole_folder(real: Path, mark: Mapping[str, Any]) -> Iterator[Path]:
    """A folder beside the one wanted, which becomes it at the end of the block.

    Whatever goes wrong in the block, nothing is left under the name, or what was there before. A
    process that is killed leaves the folder beside it, which the next one replaces.

    Args:
        real: what `check_out` returned.
        mark: what its MARK says.

    Yields:
        the folder to write to; empty.

    Raises:
        PicieError: something cannot be written.
    """
    part = real.with_name(PART + real.name)
    try:
        try:
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir(parents=True)
            yield part
            (part / MARK).write_text(json.dumps(mark, indent=1) + "\n", encoding="ascii")
            _replace(part, real)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        left = "is as it was before" if real.exists() else "was not made"
        raise PicieError(
            f"{real}: cannot be written ({error.strerror or error}) and {left}; check the folder's "
            "permissions and the free space, or choose another --out"
        ) from None


def _replace(part: Path, real: Path) -> None:
    old = real.with_name(f"{PART}old-{real.name}")
    shutil.rmtree(old, ignore_errors=True)
    replaced = real.exists()
    if replaced:
        os.replace(real, old)
    try:
        os.replace(part, real)
    except OSError:
        if replaced:
            os.replace(old, real)
        raise
    shutil.rmtree(old, ignore_errors=True)

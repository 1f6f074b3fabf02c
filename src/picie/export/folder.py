"""The folder of an export: checked, marked, and replaced as a whole.

The file `.picie-export.json` marks it. It lists the files, so that one that somebody added or
changed is not lost with the folder.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from picie.data.own_outputs import EXPORT_MARK
from picie.errors import ConfigError, PicieError
from picie.runtime.documents import parse_object
from picie.runtime.files import PART, open_regular
from picie.runtime.locks import locked
from picie.runtime.outputs import changed_file, check_folder_apart, list_files
from picie.runtime.progress import Reporter
from picie.runtime.storage import local_path

__all__ = ["atomic_folder", "check_out", "masks_folder", "replaced_folder", "write_mark"]

_FILES = (".json", ".xml", ".csv", ".zip", ".png", ".tif", ".gpkg", ".parquet")
"""What people take an export for by its format."""
_OLD = "old"
_MASKS = "masks"


@contextmanager
def replaced_folder(
    out: Path, mark: Mapping[str, Any], *, overwrite: bool, sources: Iterable[str | Path]
) -> Iterator[Path]:
    """`check_out` and `atomic_folder` while no other export writes to the folder.

    Args:
        out: the folder to create.
        mark: content of its mark.
        overwrite: whether an existing export may be replaced.
        sources: files and folders that are read.

    Yields:
        the folder to write to; empty.

    Raises:
        ConfigError: the folder must not be created or replaced.
        PicieError: something cannot be written, or another process writes to the folder.
    """
    with locked(out, "picie export"):
        real = check_out(out, overwrite=overwrite, sources=sources, restore=True)
        with atomic_folder(real, mark) as part:
            yield part


def check_out(
    out: Path, *, overwrite: bool, sources: Iterable[str | Path] = (), restore: bool = False
) -> Path:
    """Refuse an output folder that must not be created or replaced.

    Args:
        out: the folder to create.
        overwrite: whether an existing export may be replaced.
        sources: files and folders that must not be inside it, nor lead there.
        restore: first put back the export that a killed process had set aside; only while the
            folder is locked.

    Returns:
        its real path, without symbolic links.

    Raises:
        ConfigError: a file or the name of one, or a non-empty folder that may not be replaced.
    """
    real = Path(os.path.realpath(out))
    if not real.name:
        raise ConfigError(f"{out}: cannot become an export; give a new folder as --out")
    if restore and not real.exists() and _part(real, _OLD).is_dir():
        os.replace(_part(real, _OLD), real)
    if os.path.lexists(real) and not real.is_dir():
        raise ConfigError(f"{out}: is a file; give a new folder as --out")
    if real.suffix.lower() in _FILES and not real.exists():
        raise ConfigError(
            f"{out}: is the name of a file, but an export is a folder of several; give one, say "
            f"--out {real.stem}"
        )
    if not real.is_dir() or not any(real.iterdir()):
        return real
    if not (real / EXPORT_MARK).is_file():
        raise ConfigError(
            f"{out}: contains files that picie did not export, and was not changed; choose another "
            "--out"
        )
    if not overwrite:
        raise ConfigError(
            f"{out}: already exists; choose another --out, or pass --overwrite to replace it"
        )
    check_folder_apart(real, sources)
    other = changed_file(real, _written(real), but=(EXPORT_MARK,))
    if other:
        raise ConfigError(
            f"{real / other}: was added or changed since the export, and would be lost; move it "
            "away, or choose another --out"
        )
    return real


def _written(real: Path) -> Mapping[str, object]:
    """The files of an export as they were written; exports of early versions do not tell."""
    try:
        with open_regular(real / EXPORT_MARK) as file:
            files = (parse_object(file.read()) or {}).get("files")
    except OSError:
        files = None
    return files if isinstance(files, dict) else list_files(real)


@contextmanager
def atomic_folder(real: Path, mark: Mapping[str, Any]) -> Iterator[Path]:
    """Create a folder atomically: the block writes to a temporary folder, renamed at its end.

    If the block fails, the old folder, if any, is unchanged. A killed process leaves the temporary
    folder behind; the next export to the same folder removes it. Call it while the folder is
    locked.

    Args:
        real: what `check_out` returned.
        mark: content of its mark; the list of its files is added.

    Yields:
        the folder to write to; empty.

    Raises:
        ConfigError: another program wrote to the folder meanwhile.
        PicieError: something cannot be written.
    """
    part = _part(real, secrets.token_hex(8))
    try:
        _remove_stale(real)
        try:
            part.mkdir(parents=True)
            yield part
            write_mark(part, mark)
            check_out(real, overwrite=True)  # it may not be as it was
            _replace(part, real)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        outcome = "was not changed" if real.exists() else "was not created"
        raise PicieError(
            f"{real}: cannot be written ({error.strerror or error}) and {outcome}; check the "
            "folder's permissions and the free space, or choose another --out"
        ) from None


def write_mark(part: Path, mark: Mapping[str, Any]) -> None:
    """Mark a complete export.

    Args:
        part: its folder.
        mark: content of the mark; the list of its files is added.

    Raises:
        OSError: it cannot be written.
    """
    text = json.dumps({**mark, "files": list_files(part)}) + "\n"
    (part / EXPORT_MARK).write_text(text, encoding="ascii")


@contextmanager
def masks_folder(out: str | Path, digest: str, reporter: Reporter) -> Iterator[Path]:
    """A hidden folder beside an export for its masks, removed if the block succeeds.

    What a stopped call has left is still there for the next one with the same digest, and is
    removed by one with another. Call it while the export is locked.

    Args:
        out: the folder of the export; for one in a storage, masks do not outlive the call.
        digest: of model and settings.
        reporter: says what is left if the block fails.
    """
    path = local_path(out)
    if path is None:
        with TemporaryDirectory(prefix="picie-masks-") as temporary:
            yield Path(temporary)
        return
    real = Path(os.path.realpath(path))
    folder = _part(real, f"{_MASKS}-{digest}")
    for path in real.parent.glob(f"{_part(real, _MASKS).name}-*"):
        if path != folder and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException:
        count = sum(path.suffix in (".png", ".tif", ".gpkg") for path in folder.rglob("*"))
        if not count:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            reporter.say(
                f"kept {count} finished mask{'s' * (count > 1)} in {folder}; the same command goes "
                "on with them, or remove the folder"
            )
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _part(real: Path, end: str) -> Path:
    """A temporary folder beside the real one; its name has the same length for all names."""
    name = hashlib.sha256(os.fsencode(real.name)).hexdigest()[:16]
    return real.with_name(f"{PART}{name}-{end}")


def _remove_stale(real: Path) -> None:
    """Remove temporary folders of killed exports to this folder; an old export only if replaced."""
    ends = ("[0-9a-f]{16}", *((_OLD,) if real.exists() else ()))
    end = f"(?:{'|'.join(ends)})"
    pattern = re.compile(re.escape(_part(real, "").name) + end)
    if real.parent.is_dir():
        for path in real.parent.iterdir():
            if pattern.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)


def _replace(part: Path, real: Path) -> None:
    old = _part(real, _OLD)
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

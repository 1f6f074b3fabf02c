"""Versions of classes.toml in classes.history/, each stored once, by the digest of its text.

A version is the start of the SHA-256 of the file; "" means that there is no file. Earlier picie
numbered what was before each change: 0001.toml and so on.
"""

import hashlib
from contextlib import suppress
from pathlib import Path

from picie.errors import ConfigError, PicieError
from picie.runs import CLASSES_FILE, HISTORY_FOLDER
from picie.runtime.files import open_regular, write_atomically, writing

__all__ = ["current_names", "keep", "numbered", "put", "restored", "version_of"]

_DIGITS = 16


def current_names(folder: Path) -> bytes | None:
    """The text of classes.toml; None if there is no file.

    Raises:
        PicieError: it cannot be read.
    """
    return _read(folder / CLASSES_FILE)


def version_of(data: bytes | None) -> str:
    """The version that this text is; "" for None."""
    return "" if data is None else hashlib.sha256(data).hexdigest()[:_DIGITS]


def keep(folder: Path, data: bytes | None) -> str:
    """Store a text, unless it is stored already; return its version.

    Raises:
        PicieError: it cannot be written.
    """
    version = version_of(data)
    path = folder / HISTORY_FOLDER / f"{version}.toml"
    if data is not None and not path.is_file():
        with writing(path):
            path.parent.mkdir(exist_ok=True)
        write_atomically(path, data)
    return version


def restored(folder: Path, version: str) -> bytes | None:
    """The text of a version; None for "".

    Raises:
        ConfigError: the version is missing, or is not what was stored.
    """
    if not version:
        return None
    path = folder / HISTORY_FOLDER / f"{version}.toml"
    data = _read(path) if version.isalnum() else None
    if data is None or version_of(data) != version:
        raise ConfigError(
            f"{path}: is missing or damaged, so these names cannot be restored; restore the file, "
            "or give the names anew with picie name"
        )
    return data


def put(folder: Path, data: bytes | None) -> None:
    """Make this the text of classes.toml; None removes the file.

    Raises:
        PicieError: it cannot be written.
    """
    path = folder / CLASSES_FILE
    if data is not None:
        write_atomically(path, data)
        return
    with writing(path):
        path.unlink(missing_ok=True)


def numbered(folder: Path) -> dict[Path, bytes | None]:
    """The numbered versions of earlier picie, oldest first; an empty one stands for no file.

    Raises:
        PicieError: one cannot be read.
    """
    with suppress(OSError):
        found = [path for path in (folder / HISTORY_FOLDER).iterdir() if _is_number(path)]
        return {path: _read(path) or None for path in sorted(found, key=lambda p: int(p.stem))}
    return {}


def _is_number(path: Path) -> bool:
    # Digests of digits only are longer than any number of changes.
    stem = path.stem
    return path.suffix == ".toml" and stem.isascii() and stem.isdecimal() and len(stem) < _DIGITS


def _read(path: Path) -> bytes | None:
    try:
        with open_regular(path) as file:
            return file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        reason = error.strerror or error
        raise PicieError(f"{path}: cannot be read ({reason}); check it") from None

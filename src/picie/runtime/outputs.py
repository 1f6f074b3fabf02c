"""Outputs never replace an input, another output, or a file that picie did not write."""

import hashlib
import os
import secrets
import stat
import unicodedata
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path

from picie.errors import ConfigError
from picie.runtime.files import PART, open_regular
from picie.runtime.storage import is_address

__all__ = [
    "NAMELESS",
    "Files",
    "Inputs",
    "Listing",
    "changed_file",
    "check_distinct",
    "check_folder_apart",
    "check_not_read",
    "check_output",
    "digest_of",
    "folded",
    "has_content",
    "list_files",
]

Inputs = Callable[[], Iterable[str | Path]]
"""Lists the files that a command reads; called only if an output exists already."""

Listing = dict[str, list[int]]
"""Size in bytes and modification time in ns of each file of a folder, by its path inside."""

NAMELESS = Path("-")
"""Standard output, on the command line."""


def check_not_read(outputs: Iterable[Path], inputs: Inputs, *, flag: str = "--out") -> None:
    """Refuse outputs that are inputs under this or another name: links of any kind, other paths.

    Args:
        outputs: files to write; those that do not exist cannot be inputs.
        inputs: the files that the command reads.
        flag: what the user should change.

    Raises:
        ConfigError: an output is an input.
    """
    folders: dict[str, str] = {}
    taken = {key: output for output in outputs for key in _identities(output, folders)}
    if not taken:
        return
    for file in inputs():
        for key in _identities(file, folders):
            if key in taken:
                raise ConfigError(
                    f"{taken[key]}: is a file that this command reads ({file}), and was not "
                    f"changed; choose another {flag}"
                )


def _identities(path: str | Path, folders: dict[str, str]) -> Iterator[object]:
    """What identifies an existing file: its number, which hard links share, and its real path.

    Numbers are not stable on some network file systems, and real paths differ on bind mounts.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return
    yield status.st_dev, status.st_ino
    if os.path.islink(path):
        yield os.path.realpath(path)
        return
    parent, name = os.path.split(path)
    if parent not in folders:
        folders[parent] = os.path.realpath(parent)
    yield os.path.join(folders[parent], name)


def check_folder_apart(out: Path, inputs: Iterable[str | Path]) -> None:
    """Refuse to replace a folder as a whole if an input is in it, directly or through a link.

    Raises:
        ConfigError: an input is in it.
    """
    try:
        status = os.stat(out)
    except OSError:
        return
    within: dict[str, bool] = {}

    def contains(folder: str) -> bool:
        if folder not in within:
            try:
                found = os.stat(folder)
                same = (found.st_dev, found.st_ino) == (status.st_dev, status.st_ino)
            except OSError:
                same = False
            parent = os.path.dirname(folder)
            within[folder] = same or (parent != folder and contains(parent))
        return within[folder]

    for file in inputs:
        if isinstance(file, str) and is_address(file):
            continue  # it is on no disk
        real = os.path.realpath(file)
        if contains(real if os.path.isdir(real) else os.path.dirname(real)):
            raise ConfigError(
                f"{out}: contains {file}, which this command reads; choose another --out"
            )


def check_output(
    path: Path, is_own: Callable[[Path], bool], *, inputs: Inputs, flag: str = "--out"
) -> None:
    """Refuse a single output file that must not be written.

    A missing or empty file is free, and so is one that picie wrote.

    Args:
        path: the file.
        is_own: whether picie wrote an existing file.
        inputs: the files that the command reads.
        flag: what the user should change.

    Raises:
        ConfigError: a folder, a link, a device, an input, or a file of someone else.
    """
    if path.is_dir():
        raise ConfigError(f"{flag} {path}: is a folder; give a file")
    check_not_read([path], inputs, flag=flag)
    if not os.path.lexists(path):
        return
    if not stat.S_ISREG(os.lstat(path).st_mode):
        kind = f"a link to {os.path.realpath(path)}" if path.is_symlink() else "no regular file"
        raise ConfigError(f"{path}: is {kind}, and is not replaced; choose another {flag}")
    if path.stat().st_size and not _readable(is_own, path):
        raise ConfigError(
            f"{path}: already exists and was not written by this command, so it is not replaced; "
            f"choose another {flag}, or remove the file"
        )


def _readable(is_own: Callable[[Path], bool], path: Path) -> bool:
    try:
        return is_own(path)
    except OSError:
        return False


def has_content(path: Path) -> bool:
    """Whether something is at this path that could be lost: anything but an empty file."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return not stat.S_ISREG(status.st_mode) or status.st_size > 0


def digest_of(path: str | Path) -> str:
    """SHA-256 of a regular file, in hexadecimal; "" for anything else, or if it is unreadable."""
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return ""


# --- outputs among themselves


Files = Callable[[], Iterable[tuple[str, str]]]
"""Lists, for each output, its path inside a folder, with "/", and what it is."""


def check_distinct(out: Path | None, files: Files, advice: str, *, at: str = "") -> None:
    """Refuse outputs of which two share a path, or one is a folder of another.

    On a file system that ignores case or the composition of accents, paths that differ in nothing
    else are the same.

    Args:
        out: the folder that they are written to; None = a storage, where every path is distinct.
        files: the outputs, listed once, and again only if there may be a clash.
        advice: what to do about it.
        at: the address of a storage.

    Raises:
        ConfigError: names the path and both outputs.
    """
    if not _may_clash(files):
        return
    listed = list(files())
    clash = _clash(listed, folded)
    if clash is not None and (out is None or not _folds_names(out)):
        clash = _clash(listed, str)
    if clash is not None:
        path, first, second = clash
        whole = f"{at}/{path}" if out is None else out / path
        raise ConfigError(f"{whole}: would be both {first} and {second}; {advice}")


def _may_clash(files: Files) -> bool:
    """Whether two paths may clash: one number per path instead of texts, for millions of them."""
    taken, folders = set[int](), set[int]()
    for path, _ in files():
        key = folded(path)
        if hash(key) in taken:
            return True
        taken.add(hash(key))
        while "/" in key:
            key = key.rpartition("/")[0]
            if hash(key) in folders:
                break
            folders.add(hash(key))
    return not taken.isdisjoint(folders)


def _clash(files: list[tuple[str, str]], fold: Callable[[str], str]) -> tuple[str, str, str] | None:
    """A path, and the two outputs that need it."""
    taken: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path, what in files:
        key = fold(path)
        if key in taken:
            return path, taken[key], what
        taken[key] = what
        while "/" in key:
            key = key.rpartition("/")[0]
            if key in folders:
                break
            folders[key] = what
    for path, what in files:
        if (key := fold(path)) in folders:
            return path, what, f"a folder for {folders[key]}"
    return None


def folded(path: str) -> str:
    """Equal for paths that a file system may take for the same."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", path).casefold())


def _folds_names(folder: Path) -> bool:
    """Whether the file system takes names for equal that differ in case or composition."""
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    name = f"{PART}{secrets.token_hex(8)}\u00e9"
    try:
        os.close(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError:
        return False  # nothing can be written there, which a later message says
    try:
        return any(
            (folder / other).exists()
            for other in (name.upper(), unicodedata.normalize("NFD", name))
        )
    finally:
        (folder / name).unlink()


# --- folders that are replaced as a whole


def list_files(folder: Path) -> Listing:
    """The files of a folder at any depth; a link is listed, not followed."""
    found: Listing = {}
    folders = [""]
    while folders:
        inside = folders.pop()
        with os.scandir(folder / inside) as entries:
            for entry in entries:
                path = f"{inside}/{entry.name}" if inside else entry.name
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                else:
                    status = entry.stat(follow_symlinks=False)
                    found[path] = [status.st_size, status.st_mtime_ns]
    return found


def changed_file(folder: Path, written: Mapping[str, object], *, but: Container[str]) -> str:
    """A file of a folder that is not as it was written, or was added since; "" if there is none.

    A file with further hard links is not lost with the folder, so its changes do not count.

    Args:
        folder: it may be replaced.
        written: from `list_files`, as stored in a file.
        but: paths inside the folder that do not count.
    """
    for path, now in sorted(list_files(folder).items()):
        if path in but or _is_same(now, written.get(path)):
            continue
        if path not in written or os.lstat(folder / path).st_nlink == 1:
            return path
    return ""


_TICK = 2_000_000_000  # ns; some file systems round times to 2 s


def _is_same(now: list[int], before: object) -> bool:
    match before:
        case [int(size), int(time)]:
            return size == now[0] and abs(time - now[1]) <= _TICK
    return False

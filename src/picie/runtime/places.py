"""Where masks are written: a folder of this machine, or one of a storage."""

import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

from picie.errors import ConfigError, PicieError
from picie.runtime.files import open_regular, remove_parts, write_atomically, writing
from picie.runtime.locks import locked
from picie.runtime.outputs import (
    Files,
    Inputs,
    check_distinct,
    check_not_read,
    digest_of,
    has_content,
)
from picie.runtime.storage import Store, local_path

__all__ = ["Log", "Place", "Stamp", "open_place"]


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells the content of a file from another.

    Attributes:
        digest: SHA-256 in hexadecimal; "" for what is no regular file, or in a storage.
        bytes: size of a file of a storage, of which the digest is unknown; else -1.
    """

    digest: str = ""
    bytes: int = -1


class Log(Protocol):
    """A list that grows line by line."""

    def append(self, lines: bytes) -> None:
        """Add whole lines, all or none of them.

        Raises:
            PicieError: they cannot be written.
        """
        ...

    def close(self) -> None:
        """End writing."""
        ...


class Place(Protocol):
    """A folder; paths inside it have "/"."""

    appends: bool
    """Whether a list can grow; if not, lines are best added many at a time."""

    @property
    def folder(self) -> Path | str:
        """Its path, or its address."""
        ...

    def at(self, path: str) -> str:
        """The whole path or address, for messages."""
        ...

    def stamp(self, path: str) -> Stamp | None:
        """The content of a file; None if there is nothing that could be lost."""
        ...

    def is_changed(self, path: str, *digests: str | None) -> bool:
        """Whether a file has content of which the digest is none of these.

        In a storage this is not asked, because it would take a request for each file.
        """
        ...

    def is_file(self, path: str) -> bool:
        """Whether there is a regular file, or a link to one."""
        ...

    def is_link(self, path: str) -> bool:
        """Whether a file is a link."""
        ...

    def names(self) -> list[str]:
        """The files directly in the folder, sorted."""
        ...

    def lines(self, path: str) -> Iterator[bytes]:
        """The lines of a file, with their ends."""
        ...

    def log(self, path: str, header: bytes, whole: int) -> Log:
        """A list to add lines to; nothing is created before the first.

        Args:
            path: of the list.
            header: its first line, if it is new.
            whole: number of its bytes up to the last whole line; half a line of a killed process
                is cut off.
        """
        ...

    def read(self, path: str) -> bytes:
        """The content of a file."""
        ...

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        """Write a file as a whole; its folder is created.

        Raises:
            PicieError: it cannot be written.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove a file."""
        ...

    def remove_parts(self, paths: Iterable[str]) -> None:
        """Remove what killed processes left beside these files; call it while nobody writes."""
        ...

    def check_distinct(self, files: Files, advice: str) -> None:
        """Refuse outputs of which two share a path: `outputs.check_distinct`.

        Raises:
            ConfigError: names the path and both outputs.
        """
        ...

    def check_folders(self, names: Iterable[str]) -> None:
        """Refuse folders that cannot be created.

        Raises:
            ConfigError: a file is in the place of one.
        """
        ...

    def check_not_read(self, paths: Iterable[str], inputs: Inputs) -> None:
        """Refuse files that are inputs.

        Raises:
            ConfigError: one is an input.
        """
        ...

    def in_use(self, path: str = "", *, wait: float = 0.0) -> AbstractContextManager[None]:
        """Within the block, no other process has this path; "" = the folder.

        Args:
            path: of a file in the folder.
            wait: seconds to wait for another process.

        Raises:
            PicieError: another process has it.
        """
        ...


def open_place(out: str | Path) -> Place:
    """The place of a path or an address.

    Raises:
        ConfigError: it is a file, or an address that cannot be written to.
    """
    folder = local_path(out)
    if folder is None:
        return _RemotePlace(str(out))
    if os.path.lexists(folder) and not folder.is_dir():
        raise ConfigError(f"{folder}: is not a folder; choose another --out")
    return _LocalPlace(folder)


class _LocalPlace:
    """A folder of this machine."""

    appends = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __str__(self) -> str:
        return str(self.folder)

    def at(self, path: str) -> str:
        return str(self.folder / path)

    def stamp(self, path: str) -> Stamp | None:
        file = self.folder / path
        return Stamp(digest_of(file)) if has_content(file) else None

    def is_changed(self, path: str, *digests: str | None) -> bool:
        stamp = self.stamp(path)
        return stamp is not None and stamp.digest not in digests

    def is_file(self, path: str) -> bool:
        return (self.folder / path).is_file()

    def is_link(self, path: str) -> bool:
        return (self.folder / path).is_symlink()

    def names(self) -> list[str]:
        return sorted(os.listdir(self.folder)) if self.folder.is_dir() else []

    def lines(self, path: str) -> Iterator[bytes]:
        file = self.folder / path
        if file.is_symlink():
            raise ConfigError(f"{file}: is a link, and is not changed; choose another --out")
        with writing(file), open_regular(file) as opened:
            yield from opened

    def log(self, path: str, header: bytes, whole: int) -> Log:
        return _LocalLog(self.folder / path, header, whole)

    def read(self, path: str) -> bytes:
        return (self.folder / path).read_bytes()

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        file = self.folder / path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PicieError(
                f"{file.parent}: cannot be created ({error.strerror}); choose another --out"
            ) from None
        write_atomically(file, data, durable=durable)

    def remove(self, path: str) -> None:
        with writing(self.folder / path):
            (self.folder / path).unlink(missing_ok=True)

    def remove_parts(self, paths: Iterable[str]) -> None:
        for folder in {self.folder, *((self.folder / path).parent for path in paths)}:
            remove_parts(folder, ".png", ".txt", ".jsonl")

    def check_distinct(self, files: Files, advice: str) -> None:
        check_distinct(self.folder, files, advice)

    def check_folders(self, names: Iterable[str]) -> None:
        for parent in sorted({self.folder / name for name in names}):
            while parent != parent.parent and not parent.is_dir():
                if os.path.lexists(parent):
                    raise ConfigError(f"{parent}: is not a folder; choose another --out")
                parent = parent.parent

    def check_not_read(self, paths: Iterable[str], inputs: Inputs) -> None:
        check_not_read((self.folder / path for path in paths), inputs)

    @contextmanager
    def in_use(self, path: str = "", *, wait: float = 0.0) -> Iterator[None]:
        """As in `Place`; a folder that is new and stays empty is removed again on failure."""
        new = not self.folder.exists()
        try:
            with locked(self.folder / path, "picie predict", wait=wait, inside=not path):
                yield
        except BaseException:
            if new:
                with suppress(OSError):
                    self.folder.rmdir()
            raise


class _LocalLog:
    def __init__(self, file: Path, header: bytes, whole: int) -> None:
        self._file, self._header, self._whole = file, header, whole
        self._descriptor: int | None = None

    def append(self, lines: bytes) -> None:
        with writing(self._file):
            descriptor = self._open()
            try:
                if os.write(descriptor, lines) < len(lines):
                    raise OSError("the disk is full")
            except OSError:
                os.ftruncate(descriptor, self._whole)  # no half line before the next one
                raise
            self._whole += len(lines)

    def _open(self) -> int:
        if self._descriptor is None:
            if not self._whole:
                write_atomically(self._file, self._header)
                self._whole = len(self._header)
            flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
            self._descriptor = os.open(self._file, flags | getattr(os, "O_BINARY", 0))
            os.ftruncate(self._descriptor, self._whole)  # half a line of a killed process
        return self._descriptor

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class _RemoteLog:
    """Objects cannot grow: each call adds one, with a name that no other writer uses."""

    def __init__(self, place: "_RemotePlace", stem: str, header: bytes) -> None:
        self._place, self._header, self._count = place, header, 0
        first, _, part = stem.partition(".")
        self._first, self._end = first, "-".join(filter(None, (part, secrets.token_hex(4))))

    def append(self, lines: bytes) -> None:
        # The time comes first, so that sorted names have the newest lines last.
        name = f"{self._first}.{time.time_ns():019}-{self._count:06}-{self._end}.jsonl"
        self._place.write(name, self._header + lines)
        self._count += 1

    def close(self) -> None:
        """Nothing is open."""


class _RemotePlace:
    """A folder of a storage, listed once; what another program adds later is not noticed.

    Nobody can be kept from writing to it. Two writers that make the same masks do the same work
    twice, and break nothing: files are written as a whole, and each has a list of its own.
    """

    appends = False

    def __init__(self, address: str) -> None:
        self.folder = address.rstrip("/")
        self._store = Store(self.folder)
        self._store.check_writable()

    @cached_property
    def _sizes(self) -> dict[str, int]:
        """Size of each file, by its path."""
        return {
            entry.path.removeprefix(f"{self.folder}/"): entry.bytes
            for entry in self._store.walk(self.folder)
        }

    def __str__(self) -> str:
        return self.folder

    def at(self, path: str) -> str:
        return f"{self.folder}/{path}"

    def stamp(self, path: str) -> Stamp | None:
        size = self._sizes.get(path, 0)
        return Stamp(bytes=size) if size else None

    def is_changed(self, path: str, *digests: str | None) -> bool:
        return False

    def is_file(self, path: str) -> bool:
        return path in self._sizes

    def is_link(self, path: str) -> bool:
        return False

    def names(self) -> list[str]:
        return sorted(path for path in self._sizes if "/" not in path)

    def lines(self, path: str) -> Iterator[bytes]:
        return iter(self.read(path).splitlines(keepends=True))

    def log(self, path: str, header: bytes, whole: int) -> Log:
        return _RemoteLog(self, path.removesuffix(".jsonl"), header)

    def read(self, path: str) -> bytes:
        return self._store.read(self.at(path))

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        self._store.write(self.at(path), data)

    def remove(self, path: str) -> None:
        self._store.remove(self.at(path))

    def check_distinct(self, files: Files, advice: str) -> None:
        check_distinct(None, files, advice, at=self.folder)

    def remove_parts(self, paths: Iterable[str]) -> None:
        """Nothing to remove: files are written as a whole."""

    def check_folders(self, names: Iterable[str]) -> None:
        """Nothing to check: a storage has no folders."""

    def check_not_read(self, paths: Iterable[str], inputs: Inputs) -> None:
        taken = {self.at(path) for path in paths if path in self._sizes}
        for file in inputs() if taken else ():
            if str(file) in taken:
                raise ConfigError(
                    f"{file}: is a file that this command reads, and was not changed; choose "
                    "another --out"
                )

    def in_use(self, path: str = "", *, wait: float = 0.0) -> AbstractContextManager[None]:
        return nullcontext()

"""An export to a storage: made in a temporary folder of this machine, then uploaded.

A storage cannot replace a folder at once. So the upload begins with a list of what it will write,
`.picie-export.part.json`, and ends with the mark of a complete export, `.picie-export.json`. An
upload that was stopped is recognised by the former, and the same command does it again.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from picie.data.own_outputs import EXPORT_MARK, EXPORT_PART
from picie.errors import ConfigError
from picie.export.folder import check_out, replaced_folder, write_mark
from picie.runtime.documents import parse_object
from picie.runtime.files import writing
from picie.runtime.outputs import list_files
from picie.runtime.storage import Store, local_path

__all__ = ["check_place", "export_folder"]

_THREADS = 8


@contextmanager
def export_folder(
    out: str | Path, mark: Mapping[str, Any], *, overwrite: bool, sources: Iterable[str | Path]
) -> Iterator[Path]:
    """The folder to write an export to; at the end of the block it is moved or uploaded to `out`.

    Args:
        out: path or address of the folder to create.
        mark: content of its mark.
        overwrite: whether an existing export may be replaced.
        sources: files and folders that are read.

    Yields:
        a folder of this machine; empty.

    Raises:
        ConfigError: the folder must not be created or replaced.
        PicieError: something cannot be written.
    """
    path = local_path(out)
    if path is not None:
        with replaced_folder(path, mark, overwrite=overwrite, sources=sources) as part:
            yield part
        return
    address = str(out).rstrip("/")
    _existing(address, overwrite=overwrite, sources=sources)  # before the work, and after it
    with TemporaryDirectory(prefix="picie-export-") as temporary, writing(Path(temporary)):
        part = Path(temporary, "export")
        part.mkdir()
        yield part
        write_mark(part, mark)
        before = _existing(address, overwrite=overwrite)
        _upload(part, address, before)


def check_place(out: str | Path, *, overwrite: bool, sources: Iterable[str | Path] = ()) -> None:
    """Refuse a place of an export that must not be created or replaced.

    Args:
        out: path or address of the folder to create.
        overwrite: whether an existing export may be replaced.
        sources: files and folders that are read.

    Raises:
        ConfigError: it must not.
    """
    path = local_path(out)
    if path is None:
        _existing(str(out).rstrip("/"), overwrite=overwrite, sources=sources)
    else:
        check_out(path, overwrite=overwrite, sources=sources)


def _existing(
    address: str, *, overwrite: bool, sources: Iterable[str | Path] = ()
) -> dict[str, int]:
    """Names and sizes of the files of an earlier export, which may be replaced.

    Raises:
        ConfigError: one of them may not, or is read.
    """
    store = Store(address)
    store.check_writable()
    sizes = {entry.path[len(address) + 1 :]: entry.bytes for entry in store.walk(address)}
    if not sizes:
        return {}
    if not sizes.keys() & {EXPORT_MARK, EXPORT_PART}:
        raise ConfigError(
            f"{address}: contains files that picie did not export, and was not changed; choose "
            "another --out"
        )
    if EXPORT_MARK in sizes and not overwrite:
        raise ConfigError(
            f"{address}: already exists; choose another --out, or pass --overwrite to replace it"
        )
    for source in sources:
        if f"{source}/".startswith(f"{address}/"):
            raise ConfigError(
                f"{address}: contains {source}, which this command reads; choose another --out"
            )
    _check_unchanged(store, address, sizes)
    return sizes


def _check_unchanged(store: Store, address: str, sizes: Mapping[str, int]) -> None:
    """Refuse to lose files that are not as an export, or an upload that was stopped, wrote them."""
    written: set[tuple[str, int]] = set()
    for name in (EXPORT_MARK, EXPORT_PART):
        if name in sizes:
            values = parse_object(store.read(f"{address}/{name}")) or {}
            for key in ("files", "before"):
                written.update(_sizes(values.get(key)))
    for name, size in sizes.items():
        if name not in (EXPORT_MARK, EXPORT_PART) and (name, size) not in written:
            raise ConfigError(
                f"{address}/{name}: was added or changed since the export, and would be lost; "
                "move it away, or choose another --out"
            )


def _sizes(listing: object) -> Iterator[tuple[str, int]]:
    """Names and sizes of a listing in a mark."""
    for name, state in listing.items() if isinstance(listing, dict) else ():
        if isinstance(state, list) and state and isinstance(state[0], int):
            yield name, state[0]


def _upload(part: Path, address: str, before: Mapping[str, int]) -> None:
    """Put all files, the mark last, and remove what only the earlier export had."""
    store, files = Store(address), list_files(part)
    # The mark of the earlier export goes first: from now on it is not whole.
    lists = {"files": files, "before": {name: [size] for name, size in before.items()}}
    store.write(f"{address}/{EXPORT_PART}", json.dumps(lists).encode("ascii"))
    store.remove(f"{address}/{EXPORT_MARK}")
    names = [name for name in files if name != EXPORT_MARK]
    older = [name for name in before if name not in files and name != EXPORT_PART]
    with ThreadPoolExecutor(_THREADS, "picie-upload") as pool:
        puts = [pool.submit(store.write, f"{address}/{name}", part / name) for name in names]
        puts += [pool.submit(store.remove, f"{address}/{name}") for name in older]
        try:
            for put in puts:
                put.result()
        finally:
            pool.shutdown(cancel_futures=True)
    store.write(f"{address}/{EXPORT_MARK}", part / EXPORT_MARK)
    store.remove(f"{address}/{EXPORT_PART}")

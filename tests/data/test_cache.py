import errno
import logging
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from picie.data.cache import CropCache

SIZE = 577  # (3, 577, 577) is just below 10^6 bytes: one crop a megabyte
COUNT = 4
Make = Callable[..., CropCache]


def crop(seed: int, size: int = SIZE) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (3, size, size), dtype=np.uint8)


def blank(size: int = SIZE) -> NDArray[np.uint8]:
    return np.full((3, size, size), 7, np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run" / "cache"


def in_memory(**options: Any) -> CropCache:
    return CropCache(COUNT, SIZE, memory_mb=COUNT, **options)


def on_disk(folder: Path, *, memory_mb: int = 1, **options: Any) -> CropCache:
    return CropCache(COUNT, SIZE, memory_mb=memory_mb, disk_mb=COUNT, folder=folder, **options)


def with_free_space(monkeypatch: pytest.MonkeyPatch, megabytes: int) -> None:
    usage = SimpleNamespace(free=megabytes * 10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)


# --- how much room


@pytest.mark.parametrize(
    ("memory", "disk", "capacity", "file"),
    [
        (4, 9, 4, False),  # all fit into memory
        (9, 0, 4, False),
        (3, 9, 4, True),
        (0, 2, 2, True),  # some fit on the disk
        (3, 2, 3, False),  # more fit into memory
        (2, 0, 2, False),
        (0, 0, 0, False),
    ],
)
def test_memory_where_all_fit_else_a_file(
    folder: Path, memory: int, disk: int, capacity: int, file: bool
) -> None:
    cache = CropCache(COUNT, SIZE, memory_mb=memory, disk_mb=disk, folder=folder)
    assert (cache.capacity, cache.on_disk) == (capacity, file)
    cache.close()


def test_at_most_half_of_the_free_space_is_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for free, capacity in [(100, 4), (7, 3), (6, 3), (1, 0)]:
        with_free_space(monkeypatch, free)
        cache = on_disk(folder, memory_mb=0)
        assert cache.capacity == capacity
        cache.close()


def test_without_a_folder_there_is_no_file() -> None:
    cache = CropCache(COUNT, SIZE, memory_mb=1, disk_mb=COUNT)
    assert (cache.capacity, cache.on_disk) == (1, False)


# --- what is kept


@pytest.fixture(params=["memory", "file", "file in turns"])
def cache(
    request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> CropCache:
    if request.param == "memory":
        return in_memory()
    if request.param == "file in turns":
        monkeypatch.delattr(os, "preadv")
        monkeypatch.delattr(os, "pwrite")
    return on_disk(folder)


def test_what_was_put_comes_back_in_any_order(cache: CropCache) -> None:
    for index in (2, 0, 3):
        cache.put(index, crop(index))
    for index in (3, 0, 2):
        found = blank()
        assert cache.holds(index)
        assert cache.get(index, found)
        np.testing.assert_array_equal(found, crop(index))
        found[...] = 0  # what callers do to it must not reach the cache
        assert cache.get(index, found)
        np.testing.assert_array_equal(found, crop(index))
    assert not cache.holds(1)
    cache.close()


def test_what_is_not_there_changes_nothing(cache: CropCache) -> None:
    found = blank()
    cache.put(COUNT, crop(9))  # no room: not kept, no error
    for index in (1, COUNT, COUNT + 5):
        assert not cache.holds(index)
        assert not cache.get(index, found)
    np.testing.assert_array_equal(found, blank())
    cache.close()


def test_a_closed_cache_is_empty(cache: CropCache) -> None:
    cache.put(0, crop(0))
    cache.close()
    assert not cache.holds(0)
    assert not cache.get(0, blank())
    cache.put(0, crop(0))
    assert not cache.holds(0)
    cache.close()


def test_many_threads_at_once(cache: CropCache) -> None:
    wrong: list[int] = []

    def use(first: int) -> None:
        for step in range(40):
            index = (first + step) % COUNT
            found = blank()
            if cache.get(index, found):
                if not np.array_equal(found, crops[index]):
                    wrong.append(index)
            else:
                cache.put(index, crops[index])

    crops = [crop(index) for index in range(COUNT)]
    threads = [threading.Thread(target=use, args=(first,)) for first in range(COUNT)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert all(cache.holds(index) for index in range(COUNT))
    cache.close()


def test_a_crop_is_seen_only_when_it_is_whole(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = on_disk(folder)
    seen: list[bool] = []
    write = os.pwrite

    def a_part(file: int, data: memoryview, offset: int) -> int:
        seen.append(cache.get(1, blank()))
        return write(file, data[:300_000], offset)

    monkeypatch.setattr(os, "pwrite", a_part)
    cache.put(1, crop(1))
    assert seen == [False] * 4
    found = blank()
    assert cache.get(1, found)
    np.testing.assert_array_equal(found, crop(1))
    cache.close()


# --- what is left behind


def test_the_file_has_no_name_and_the_folder_goes(folder: Path) -> None:
    folder.parent.mkdir()
    cache = on_disk(folder)
    cache.put(0, crop(0))
    assert list(folder.parent.iterdir()) == []  # already while it is used: a kill leaves nothing
    assert cache.get(0, blank())
    cache.close()


def test_a_folder_that_holds_something_stays(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "other").write_bytes(b"not ours")
    on_disk(folder).close()
    assert [path.name for path in folder.iterdir()] == ["other"]


def test_a_folder_that_was_chosen_stays(tmp_path: Path) -> None:
    for name in ("there", "new"):
        (tmp_path / "there").mkdir(exist_ok=True)
        cache = on_disk(tmp_path / name, keep_folder=True)
        assert cache.on_disk
        cache.close()
        assert list((tmp_path / name).iterdir()) == []


def test_an_empty_folder_of_a_killed_run_goes(folder: Path) -> None:
    folder.mkdir(parents=True)
    in_memory(folder=folder).close()
    assert not folder.exists()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks at open files")
def test_the_file_is_closed_even_if_nobody_closes_the_cache(folder: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    cache = on_disk(folder)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del cache
    assert len(os.listdir("/proc/self/fd")) == before


# --- what goes wrong with the file


def failing(number: int) -> Callable[..., int]:
    def fail(*args: Any) -> int:
        raise OSError(number, os.strerror(number))

    return fail


def test_a_full_disk_is_noted_once_and_nothing_more_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache = on_disk(folder)
    cache.put(0, crop(0))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", failing(errno.ENOSPC))
        cache.put(1, crop(1))
    cache.put(2, crop(2))
    assert [cache.holds(index) for index in range(COUNT)] == [True, False, False, False]
    found = blank()
    assert cache.get(0, found)
    np.testing.assert_array_equal(found, crop(0))
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("picie", logging.WARNING)
    assert f"{folder}: decoded images cannot be cached there (No space left" in record.message
    assert "choose another --cache-dir" in record.message
    cache.close()


def test_a_crop_that_cannot_be_read_back_is_gone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache = on_disk(folder)
    cache.put(0, crop(0))
    cache.put(1, crop(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "preadv", failing(errno.EIO))
        assert not cache.get(0, blank())
    with monkeypatch.context() as patch:
        patch.setattr(os, "preadv", lambda *args: 0)
        assert not cache.get(1, blank())
    assert not cache.holds(0)
    assert not cache.holds(1)
    assert len(caplog.records) == 1
    assert "(Input/output error)" in caplog.text
    cache.close()


def test_a_folder_that_cannot_be_made_leaves_the_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = on_disk(tmp_path / "file" / "cache", memory_mb=2)
    assert (cache.capacity, cache.on_disk) == (2, False)
    cache.put(1, crop(1))
    assert cache.get(1, blank())
    assert "file/cache: decoded images cannot be cached there (Not a directory)" in caplog.text
    cache.close()

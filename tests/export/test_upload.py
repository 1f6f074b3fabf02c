"""Exports in a storage: the same files, complete or recognised as unfinished, and nothing lost."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from picie.data.own_outputs import EXPORT_MARK
from picie.errors import ConfigError, DataError
from picie.export.masks import export_masks
from picie.export.upload import check_place, export_folder
from picie.inference.segmenter import Segmenter
from picie.runtime.storage import Store

Stored = Callable[..., str]
MARK = {"picie": "1", "format": "png", "classes": ["a"]}


def upload(address: str, *, overwrite: bool = False, **files: str) -> None:
    with export_folder(address, MARK, overwrite=overwrite, sources=()) as part:
        (part / "sub").mkdir()
        for name, text in files.items():
            (part / "sub" / name).write_text(text)


def content(address: str) -> dict[str, bytes]:
    store = Store(address)
    found = (entry.path for entry in store.walk(address))
    return {path.removeprefix(f"{address}/"): store.read(path) for path in found}


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"memory://{tmp_path.name}/export"


def test_an_export_of_photos_in_a_storage_is_that_of_the_folder(
    model: Segmenter, scenes: Path, stored: Stored, bucket: str, tmp_path: Path
) -> None:
    photos = stored(scenes, f"{bucket}/scenes")
    for format in ("coco", "yolo"):
        here = tmp_path / "here" / format
        export_masks(model, format, scenes, here, split="val", workers=0)
        export_masks(model, format, photos, f"{bucket}/there/{format}", split="val", workers=2)
        there = content(f"{bucket}/there/{format}")
        files = {path.relative_to(here).as_posix(): path for path in here.rglob("*.*")}
        assert sorted(there) == sorted(files)
        assert all(
            there[name] == path.read_bytes() for name, path in files.items() if name != EXPORT_MARK
        )
        assert json.loads(there[EXPORT_MARK])["files"].keys() == files.keys() - {EXPORT_MARK}


def test_an_export_is_replaced_only_if_asked(address: str) -> None:
    upload(address, a="1", b="2")
    assert sorted(content(address)) == [EXPORT_MARK, "sub/a", "sub/b"]
    with pytest.raises(ConfigError, match=r"export: already exists; .*--overwrite to replace it"):
        upload(address, a="3")
    upload(address, overwrite=True, a="33", c="4")
    found = content(address)
    assert {name: found[name] for name in found if name != EXPORT_MARK} == {
        "sub/a": b"33",
        "sub/c": b"4",
    }


def test_other_files_are_never_replaced(address: str) -> None:
    store = Store(address)
    store.write(f"{address}/mine.txt", b"mine")
    with pytest.raises(ConfigError, match="contains files that picie did not export"):
        check_place(address, overwrite=True)
    store.remove(f"{address}/mine.txt")
    upload(address, a="1")
    check_place(address, overwrite=True)
    with pytest.raises(ConfigError, match=r"export: contains memory://.*/sub/a, which this com"):
        check_place(address, overwrite=True, sources=[f"{address}/sub/a"])
    for name in ("mine.txt", "sub/a"):
        store.write(f"{address}/{name}", b"mine")
        with pytest.raises(ConfigError, match=rf"/{name}: was added or changed since the export"):
            check_place(address, overwrite=True)
        store.remove(f"{address}/{name}")


@pytest.mark.parametrize("again", [False, True])
def test_an_upload_that_stopped_is_done_again(
    address: str, again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if again:
        upload(address, a="old", old="old")
    write = Store.write

    def broken(store: Store, file: str, data: bytes | Path) -> None:
        if file.endswith("sub/b"):
            raise DataError("the network is gone")
        write(store, file, data)

    monkeypatch.setattr(Store, "write", broken)
    with pytest.raises(DataError, match="gone"):
        upload(address, overwrite=again, a="new", b="2")
    assert EXPORT_MARK not in content(address)  # nobody takes it for whole
    monkeypatch.setattr(Store, "write", write)
    upload(address, a="new", b="2")
    assert sorted(content(address)) == [EXPORT_MARK, "sub/a", "sub/b"]
    assert content(address)["sub/a"] == b"new"


def test_a_block_that_fails_uploads_nothing(address: str) -> None:
    def fail() -> None:
        with export_folder(address, MARK, overwrite=False, sources=()) as part:
            (part / "a").write_text("a")
            raise DataError("broken")

    with pytest.raises(DataError, match="broken"):
        fail()
    assert content(address) == {}
    with pytest.raises(ConfigError, match="hf upload"):
        check_place("hf://datasets/a/b", overwrite=False)

"""Folders that masks are written to, here and in a storage."""

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from picie.errors import ConfigError, PicieError
from picie.runtime.places import Place, Stamp, open_place

HEADER = b'{"kind": "masks"}\n'
XY = b"x\n", b"y\n"


@pytest.fixture
def storage() -> Iterator[str]:
    """An address in memory."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield "memory://bucket/out"
    files.store.clear()


@pytest.fixture(params=["local", "storage"])
def out(request: pytest.FixtureRequest, storage: str, tmp_path: Path) -> str | Path:
    return storage if request.param == "storage" else tmp_path / "out"


def lists(place: Place) -> list[bytes]:
    """The lines of all lists, without their headers."""
    names = [name for name in place.names() if name.endswith(".jsonl")]
    return [line for name in names for line in place.lines(name) if line != HEADER]


def test_what_is_written_is_there_for_the_next_call(out: str | Path) -> None:
    place = open_place(out)
    assert place.names() == []
    assert place.stamp("a.png") is None
    place.write("sub/a.png", b"12345")
    place.write("b.png", b"123", durable=False)
    again = open_place(out)
    assert again.names() == ["b.png"] or again.names() == ["b.png", "sub"]
    assert again.read("sub/a.png") == b"12345"
    assert again.is_file("sub/a.png")
    assert not again.is_link("sub/a.png")
    again.remove("b.png")
    assert open_place(out).stamp("b.png") is None
    assert open_place(out).stamp("sub/a.png") == again.stamp("sub/a.png")


def test_stamps_tell_contents_apart(tmp_path: Path, storage: str) -> None:
    for out in (tmp_path / "out", storage):
        open_place(out).write("a.png", b"12345")
        before = open_place(out).stamp("a.png")
        open_place(out).write("a.png", b"123456")
        assert open_place(out).stamp("a.png") != before
    local = open_place(tmp_path / "out")
    assert local.is_changed("a.png", None, "other")
    stamp = local.stamp("a.png")
    assert stamp is not None
    assert not local.is_changed("a.png", stamp.digest)
    assert open_place(storage).stamp("a.png") == Stamp(bytes=6)


def test_logs_grow(out: str | Path) -> None:
    for number in range(3):
        place = open_place(out)
        with place.in_use():
            old = place.is_file("masks.jsonl")
            whole = sum(map(len, place.lines("masks.jsonl"))) if old else 0
            log = place.log("masks.jsonl", HEADER, whole)
            log.append(f"{number}\n".encode())
            log.append(b"x\ny\n")
            log.close()
    assert lists(open_place(out)) == [b"0\n", *XY, b"1\n", *XY, b"2\n", *XY]


def test_paths_and_addresses_in_messages(tmp_path: Path, storage: str) -> None:
    assert open_place(tmp_path / "out").at("a/b.png") == str(tmp_path / "out" / "a" / "b.png")
    assert open_place(f"file://{tmp_path}/out").at("a.png") == str(tmp_path / "out" / "a.png")
    assert open_place(f"{storage}/").at("a/b.png") == f"{storage}/a/b.png"


def test_inputs_are_not_replaced(out: str | Path) -> None:
    open_place(out).write("a.png", b"photo")
    place = open_place(out)
    with pytest.raises(ConfigError, match="is a file that this command reads"):
        place.check_not_read(["b.png", "a.png"], lambda: [place.at("a.png")])
    place.check_not_read(["b.png"], lambda: [place.at("a.png")])


def test_two_outputs_never_share_a_path(out: str | Path) -> None:
    files = [("a.png", "the mask of a"), ("b.png", "the mask of b"), ("a.png", "another")]
    with pytest.raises(ConfigError, match="would be both the mask of a and another; rename"):
        open_place(out).check_distinct(lambda: iter(files), "rename")
    open_place(out).check_distinct(lambda: iter(files[:2]), "rename")


def test_a_local_list_has_one_writer(tmp_path: Path) -> None:
    first, second = open_place(tmp_path), open_place(tmp_path)
    with first.in_use("masks.1-of-2.jsonl"):
        with (
            pytest.raises(PicieError, match="is in use by picie predict"),
            second.in_use("masks.1-of-2.jsonl"),
        ):
            pass
        with second.in_use("masks.2-of-2.jsonl"), second.in_use():
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_stays_empty_is_removed_after_a_failure(tmp_path: Path) -> None:
    for path in ("", "masks.1-of-2.jsonl"):
        with pytest.raises(KeyError), open_place(tmp_path / "new").in_use(path):
            raise KeyError
        assert not (tmp_path / "new").exists()


def test_places_that_cannot_take_masks(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="file: is not a folder; choose another --out"):
        open_place(tmp_path / "file")
    with pytest.raises(ConfigError, match="hf upload"):
        open_place("hf://datasets/me/masks")

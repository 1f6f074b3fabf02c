"""Changes of classes.toml and their undoing, also when the disk is full."""

from pathlib import Path

import pytest

import picie.naming.file
from picie.errors import ConfigError, PicieError
from picie.naming.file import replace_classes, undo_classes
from picie.runtime.files import write_atomically


def state(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def test_every_change_can_be_undone_in_turn(tmp_path: Path) -> None:
    path = tmp_path / "classes.toml"
    for text in ("one", "two", "three"):
        assert replace_classes(tmp_path, text)
        assert path.read_text() == text
    path.write_text("three, by hand")
    assert undo_classes(tmp_path) == 2
    assert path.read_text() == "two"
    assert (tmp_path / "classes.history" / "undone.toml").read_text() == "three, by hand"
    assert replace_classes(tmp_path, "four")
    assert undo_classes(tmp_path) == 2
    assert undo_classes(tmp_path) == 1
    assert path.read_text() == "one"
    assert undo_classes(tmp_path) == 0
    assert not path.exists()
    with pytest.raises(ConfigError, match="no change of names to undo; they are kept from the fir"):
        undo_classes(tmp_path)


def test_no_change_is_no_step(tmp_path: Path) -> None:
    replace_classes(tmp_path, "one")
    before = state(tmp_path)
    assert not replace_classes(tmp_path, "one")
    assert state(tmp_path) == before


def test_a_failed_change_leaves_no_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace_classes(tmp_path, "one")
    before = state(tmp_path)

    def full(path: Path, data: bytes) -> None:
        if path.name == "classes.toml":
            raise PicieError("disk full")
        write_atomically(path, data)

    monkeypatch.setattr(picie.naming.file, "write_atomically", full)
    with pytest.raises(PicieError, match="disk full"):
        replace_classes(tmp_path, "two")
    assert state(tmp_path) == before
    with pytest.raises(PicieError, match="disk full"):
        replace_classes(tmp_path, "two")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "classes.history").write_text("in the way")
    with pytest.raises(PicieError, match=r"classes.history/0001.toml: cannot be written"):
        replace_classes(tmp_path, "one")
    assert not (tmp_path / "classes.toml").exists()

"""Versions of classes.toml: each text is stored once, and comes back whole or not at all."""

from pathlib import Path

import pytest

from picie.annotation.versions import current_names, keep, numbered, put, restored, version_of
from picie.errors import ConfigError, PicieError


def test_texts_are_stored_once_and_come_back(tmp_path: Path) -> None:
    version = keep(tmp_path, b"road\r\n\xff")
    assert version == version_of(b"road\r\n\xff")
    stored = tmp_path / "classes.history" / f"{version}.toml"
    inode = stored.stat().st_ino
    assert keep(tmp_path, b"road\r\n\xff") == version
    assert stored.stat().st_ino == inode
    assert restored(tmp_path, version) == b"road\r\n\xff"


def test_no_file_is_a_version_too(tmp_path: Path) -> None:
    assert current_names(tmp_path) is None
    assert keep(tmp_path, None) == version_of(None) == ""
    assert restored(tmp_path, "") is None
    assert list(tmp_path.iterdir()) == []
    put(tmp_path, b"road")
    assert current_names(tmp_path) == b"road"
    put(tmp_path, None)
    put(tmp_path, None)
    assert current_names(tmp_path) is None


@pytest.mark.parametrize("version", ["0123456789abcdef", "../../etc", "a\0b", "."])
def test_a_missing_version_is_named(tmp_path: Path, version: str) -> None:
    with pytest.raises(ConfigError, match=r"toml: is missing or damaged, so these names cannot be"):
        restored(tmp_path, version)


def test_a_version_that_was_edited_is_not_used(tmp_path: Path) -> None:
    version = keep(tmp_path, b"road")
    (tmp_path / "classes.history" / f"{version}.toml").write_bytes(b"sky")
    with pytest.raises(ConfigError, match="is missing or damaged"):
        restored(tmp_path, version)


def test_numbered_versions_of_earlier_picie(tmp_path: Path) -> None:
    assert numbered(tmp_path) == {}
    keep(tmp_path, b"road")
    folder = tmp_path / "classes.history"
    for name, text in (("0002", b"two"), ("0001", b""), ("10000", b"more"), ("undone", b"x")):
        (folder / f"{name}.toml").write_bytes(text)
    (folder / "1234567890123456.toml").write_bytes(b"a digest of digits only")
    (folder / "0003.txt").write_bytes(b"no version")
    found = [(path.name, data) for path, data in numbered(tmp_path).items()]
    assert found == [("0001.toml", None), ("0002.toml", b"two"), ("10000.toml", b"more")]


def test_what_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "classes.toml").mkdir()
    with pytest.raises(PicieError, match=r"classes.toml: cannot be read \(it is a folder"):
        current_names(tmp_path)
    with pytest.raises(PicieError, match=r"classes.toml: cannot be written"):
        put(tmp_path, b"road")
    (tmp_path / "classes.history").write_text("in the way")
    with pytest.raises(PicieError, match=r"classes.history/.*toml: cannot be written"):
        keep(tmp_path, b"road")

"""Files are whole on the disk before they take their names."""

import os
from pathlib import Path

import pytest

from picie.runtime.files import open_regular, write_atomically


@pytest.mark.parametrize("by_function", [False, True])
def test_bytes_are_on_the_disk_before_the_file_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_function: bool
) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    steps: list[tuple[str, int]] = []
    sync, rename = os.fsync, os.replace

    def fsync(number: int) -> None:
        steps.append(("fsync", os.fstat(number).st_ino))
        assert os.pread(number, 9, 0) == b"new"
        assert path.read_bytes() == b"old"
        sync(number)

    def replace(source: Path, target: Path) -> None:
        steps.append(("replace", os.stat(source).st_ino))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_atomically(path, (lambda part: part.write_bytes(b"new")) if by_function else b"new")
    made = path.stat().st_ino
    assert steps == [("fsync", made), ("replace", made)]
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.bin"]


def test_a_planted_link_is_not_followed_and_writers_do_not_share_a_name(tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_bytes(b"mine")
    path = tmp_path / "a.bin"
    (tmp_path / ".part-a.bin").symlink_to(other)
    parts = []

    def write(part: Path) -> None:
        parts.append(part)
        assert part.suffix == ".bin"
        part.write_bytes(b"new")
        if len(parts) == 1:
            write_atomically(path, write)

    write_atomically(path, write)
    assert other.read_bytes() == b"mine"
    assert path.read_bytes() == b"new"
    assert parts[0] != parts[1]


def test_a_name_of_the_greatest_length_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("a" * 251 + ".bin")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    for name in ("a", "link"):
        with open_regular(tmp_path / name) as file:
            assert file.read() == b"abc"
    os.mkfifo(tmp_path / "pipe")
    for path, reason in ((tmp_path / "pipe", "a pipe"), ("/dev/zero", "a device"), ("/", "folder")):
        with pytest.raises(OSError, match=f"it is .*{reason}, not a regular file"):
            open_regular(path)


def test_a_file_that_becomes_a_pipe_is_closed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    regular = os.stat(__file__)
    monkeypatch.setattr("picie.runtime.files.os.stat", lambda path: regular)
    with pytest.raises(OSError, match="a pipe"):
        open_regular(tmp_path / "pipe")

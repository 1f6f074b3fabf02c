"""Folders that appear whole or not at all."""

import errno
import os
from pathlib import Path

import pytest

from picie.errors import ConfigError, PicieError
from picie.export.masks import MARK, atomic_folder, check_out


def make(out: Path, text: str) -> None:
    with atomic_folder(out, {"format": "test"}) as part:
        (part / "sub").mkdir()
        (part / "sub" / "file").write_text(text)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_appears_with_its_mark(tmp_path: Path) -> None:
    out = tmp_path / "new folder" / "out ü"
    make(out, "1")
    assert names(out) == [MARK, "sub"]
    assert names(out.parent) == ["out ü"]


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyError(1)])
def test_nothing_of_a_failure_is_left(tmp_path: Path, there: bool, error: Exception) -> None:
    out = tmp_path / "out"
    if there:
        make(out, "old")
    kind = PicieError if isinstance(error, OSError) else KeyError

    def fail() -> None:
        with atomic_folder(out, {}) as part:
            (part / "file").write_text("new")
            raise error

    with pytest.raises(kind) as caught:
        fail()
    if kind is PicieError:
        left = "is as it was before" if there else "was not made"
        assert f"out: cannot be written (No space left on device) and {left}; check" in str(
            caught.value
        )
    assert names(tmp_path) == (["out"] if there else [])
    if there:
        assert (out / "sub" / "file").read_text() == "old"


def test_what_a_killed_process_left_is_replaced(tmp_path: Path) -> None:
    left = tmp_path / ".part-out" / "rest"
    left.mkdir(parents=True)
    make(tmp_path / "out", "1")
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == [MARK, "sub"]


def test_the_old_one_comes_back_if_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    make(out, "old")
    replace = os.replace

    def broken(source: Path, target: Path) -> None:
        if source.name == ".part-out":
            raise OSError(errno.EIO, "Input/output error")
        replace(source, target)

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(PicieError, match="is as it was before"):
        make(out, "new")
    assert (out / "sub" / "file").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PicieError, match=r"cannot be written \(Not a directory\) and was not made"):
        make(tmp_path / "file" / "out", "1")


def test_what_is_in_the_way(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert check_out(out, overwrite=False) == out
    out.mkdir()
    assert check_out(out, overwrite=False) == out  # empty
    make(out, "1")
    with pytest.raises(ConfigError, match="is already there; choose another --out, or pass --over"):
        check_out(out, overwrite=False)
    assert check_out(out, overwrite=True) == out
    with pytest.raises(ConfigError, match=r"holds .*sub, which is read; choose another --out"):
        check_out(out, overwrite=True, sources=(out / "sub",))
    (tmp_path / "link").symlink_to(out)
    assert check_out(tmp_path / "link", overwrite=True) == out


@pytest.mark.parametrize("overwrite", [False, True])
def test_other_files_are_never_replaced(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(ConfigError, match="holds files that are no export of picie, and is left"):
        check_out(tmp_path, overwrite=overwrite)
    with pytest.raises(ConfigError, match="is a file; give a folder"):
        check_out(tmp_path / "mine.txt", overwrite=overwrite)
    with pytest.raises(ConfigError, match="cannot be an export"):
        check_out(Path("/"), overwrite=overwrite)

"""Export folders: complete or absent, one writer at a time, and nobody else's files are lost."""

import errno
import os
from pathlib import Path

import pytest

from picie.data.own_outputs import EXPORT_MARK as MARK
from picie.errors import ConfigError, PicieError
from picie.export.folder import atomic_folder, check_out, replaced_folder


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
        outcome = "was not changed" if there else "was not created"
        assert f"out: cannot be written (No space left on device) and {outcome}; check" in str(
            caught.value
        )
    assert names(tmp_path) == (["out"] if there else [])
    if there:
        assert (out / "sub" / "file").read_text() == "old"


def stop(out: Path) -> None:
    with atomic_folder(out, {}) as part:
        (part / "rest").write_text("")
        raise KeyError


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    def killed(out: Path) -> list[Path]:
        before = set(tmp_path.iterdir())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("shutil.rmtree", lambda *_, **__: None)
            with pytest.raises(KeyError):
                stop(out)
        return sorted(set(tmp_path.iterdir()) - before)

    out, other = tmp_path / "out", tmp_path / "out-2"
    left, of_other = killed(out) + killed(out), killed(other)
    assert (len(left), len(of_other)) == (2, 1)
    make(out, "1")
    assert sorted(tmp_path.iterdir()) == sorted([out, *of_other])  # which may still be written
    assert names(out) == [MARK, "sub"]


def test_killed_between_the_renames_the_old_one_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, replace = tmp_path / "out", os.replace
    make(out, "old")

    def once(source: Path, target: Path) -> None:
        if target == out:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", once)
    with pytest.raises(KeyboardInterrupt):
        make(out, "new")
    assert not out.exists()
    monkeypatch.setattr(os, "replace", replace)
    make(tmp_path / "out-2", "other")
    assert check_out(out, overwrite=True, restore=True) == out
    assert (out / "sub" / "file").read_text() == "old"
    make(out, "new")
    assert names(tmp_path) == ["out", "out-2"]


def test_long_names(tmp_path: Path) -> None:
    out = tmp_path / ("x" * 250)
    make(out, "1")
    make(out, "2")
    assert names(tmp_path) == [out.name]


def test_the_old_one_comes_back_if_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    make(out, "old")
    replace, old = os.replace, list[Path]()

    def broken(source: Path, target: Path) -> None:
        if target == out and source not in old:
            raise OSError(errno.EIO, "Input/output error")
        old.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(PicieError, match="was not changed"):
        make(out, "new")
    assert (out / "sub" / "file").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        PicieError, match=r"cannot be written \(Not a directory\) and was not created"
    ):
        make(tmp_path / "file" / "out", "1")


def test_what_is_in_the_way(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert check_out(out, overwrite=False) == out
    out.mkdir()
    assert check_out(out, overwrite=False) == out  # empty
    make(out, "1")
    with pytest.raises(ConfigError, match="already exists; choose another --out, or pass --over"):
        check_out(out, overwrite=False)
    assert check_out(out, overwrite=True) == out
    with pytest.raises(
        ConfigError, match=r"contains .*sub, which this command reads; choose another --out"
    ):
        check_out(out, overwrite=True, sources=(out / "sub",))
    (tmp_path / "link").symlink_to(out)
    assert check_out(tmp_path / "link", overwrite=True) == out


def test_the_name_of_a_file_is_no_folder(tmp_path: Path) -> None:
    out = tmp_path / "coco.json"
    with pytest.raises(ConfigError, match=r"is the name of a file, .*; give one, say --out coco$"):
        check_out(out, overwrite=False)
    out.mkdir()
    assert check_out(out, overwrite=False) == out  # as it is wanted
    assert check_out(tmp_path / "v1.2", overwrite=False) == tmp_path / "v1.2"


@pytest.mark.parametrize("overwrite", [False, True])
def test_other_files_are_never_replaced(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(
        ConfigError, match="contains files that picie did not export, and was not changed"
    ):
        check_out(tmp_path, overwrite=overwrite)
    with pytest.raises(ConfigError, match="is a file; give a new folder"):
        check_out(tmp_path / "mine.txt", overwrite=overwrite)
    with pytest.raises(ConfigError, match="cannot become an export"):
        check_out(Path("/"), overwrite=overwrite)


def test_a_folder_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def late() -> None:
        with atomic_folder(out, {}) as part:
            (part / "file").write_text("")
            out.mkdir()
            (out / "mine.txt").write_text("mine")

    with pytest.raises(ConfigError, match="did not export, and was not changed"):
        late()
    assert names(tmp_path) == ["out"]
    assert names(out) == ["mine.txt"]


def test_exports_of_early_versions_can_be_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for text in ('{"picie": "1.0", "format": "png"}', "[]", "no json"):
        make(out, "1")
        (out / MARK).write_text(text)
        (out / "more.txt").write_text("")
        assert check_out(out, overwrite=True) == out


def test_times_may_be_rounded(tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out, "1")
    file = out / "sub" / "file"
    time = file.stat().st_mtime_ns
    os.utime(file, ns=(time, time - 1_900_000_000))
    assert check_out(out, overwrite=True) == out
    os.utime(file, ns=(time, time - 60_000_000_000))
    with pytest.raises(ConfigError, match=r"sub.file: was added or changed since the export"):
        check_out(out, overwrite=True)


def test_only_one_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def second() -> None:
        with replaced_folder(out, {}, overwrite=True, sources=()):
            pass

    with replaced_folder(out, {}, overwrite=False, sources=()) as part:
        (part / "file").write_text("first")
        with pytest.raises(PicieError, match=r"out: is in use by picie export \(process"):
            second()
    assert names(tmp_path) == ["out"]
    second()
    assert names(out) == [MARK]

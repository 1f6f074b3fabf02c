"""What may be written: no input, nothing of others, no two outputs in one place."""

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from picie.errors import ConfigError
from picie.runtime.outputs import (
    changed_file,
    check_distinct,
    check_folder_apart,
    check_not_read,
    check_output,
    digest_of,
    has_content,
    list_files,
)


def same(place: Path) -> Path:
    return place


def through_dots(place: Path) -> Path:
    return place.parent / "sub" / ".." / place.name


def hard(place: Path) -> Path:
    os.link(place, place.with_name("hard"))
    return place.with_name("hard")


def soft(place: Path) -> Path:
    place.with_name("soft").symlink_to(place.name)
    return place.with_name("soft")


def through_a_folder(place: Path) -> Path:
    folder = place.parent.with_name("linked")
    folder.symlink_to(place.parent)
    return folder / place.name


NAMES = [same, through_dots, hard, soft, through_a_folder]


@pytest.mark.parametrize("other", NAMES)
@pytest.mark.parametrize("swapped", [False, True])
def test_an_input_is_recognised_under_any_name(
    tmp_path: Path, other: Callable[[Path], Path], swapped: bool
) -> None:
    file = tmp_path / "folder" / "file"
    (file.parent / "sub").mkdir(parents=True)
    file.write_text("mine")
    pair = [file, other(file)]
    first, second = reversed(pair) if swapped else pair
    with pytest.raises(ConfigError) as caught:
        check_not_read([first, tmp_path / "new"], lambda: ["nowhere", second], flag="--json")
    assert str(caught.value) == (
        f"{first}: is a file that this command reads ({second}), and was not changed; choose "
        "another --json"
    )


def test_inputs_are_listed_only_if_an_output_exists(tmp_path: Path) -> None:
    def never() -> list[Path]:
        raise AssertionError

    check_not_read([tmp_path / "new", tmp_path / "no" / "folder"], never)
    (tmp_path / "a").write_text("")
    check_not_read([tmp_path / "a"], lambda: [tmp_path, tmp_path / "b"])


def test_a_single_file(tmp_path: Path) -> None:
    def own(path: Path) -> bool:
        return path.read_text() == "own"

    file = tmp_path / "file"

    def refused() -> str:
        with pytest.raises(ConfigError) as caught:
            check_output(file, own, inputs=lambda: [tmp_path / "input"], flag="--json")
        return str(caught.value)

    check_output(file, own, inputs=tuple)
    for text in ("", "own"):
        file.write_text(text)
        check_output(file, own, inputs=tuple)
    file.write_text("mine")
    assert "already exists and was not written by this command, so it is not replaced" in refused()
    file.unlink()
    file.mkdir()
    assert refused() == f"--json {file}: is a folder; give a file"
    file.rmdir()
    for target in (tmp_path / "nowhere", tmp_path / "own"):
        (tmp_path / "own").write_text("own")
        file.symlink_to(target)
        assert refused() == (
            f"{file}: is a link to {target}, and is not replaced; choose another --json"
        )
        file.unlink()
    (tmp_path / "input").write_text("own")
    os.link(tmp_path / "input", file)
    assert "is a file that this command reads" in refused()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_pipes_and_devices_are_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(ConfigError, match="is no regular file, and is not replaced"):
            check_output(path, lambda _: True, inputs=tuple)
    assert digest_of(tmp_path / "pipe.gone") == ""
    assert digest_of(tmp_path / "pipe") == ""  # and does not wait for a writer


def test_a_file_that_cannot_be_read_is_not_replaced(tmp_path: Path) -> None:
    def unreadable(path: Path) -> bool:
        raise PermissionError(path)

    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="is not replaced"):
        check_output(tmp_path / "file", unreadable, inputs=tuple)


def test_content_is_all_that_can_be_lost(tmp_path: Path) -> None:
    assert not has_content(tmp_path / "missing")
    (tmp_path / "file").touch()
    assert not has_content(tmp_path / "file")
    assert not has_content(tmp_path / "file" / "below")
    (tmp_path / "link").symlink_to("nowhere")
    for path in (tmp_path, tmp_path / "link"):
        assert has_content(path)
    (tmp_path / "file").write_text("mine")
    assert has_content(tmp_path / "file")


def test_a_folder_with_an_input_in_it(tmp_path: Path) -> None:
    out = tmp_path / "a" / "out"
    (out / "sub").mkdir(parents=True)
    (out / "sub" / "file").write_text("mine")
    (tmp_path / "link").symlink_to(out / "sub")
    (tmp_path / "file").symlink_to(out / "sub" / "file")
    os.link(out / "sub" / "file", tmp_path / "hard")
    for inside in (out, out / "sub" / "file", out / "gone", tmp_path / "link", tmp_path / "file"):
        with pytest.raises(ConfigError, match=f"contains {inside}, which this command reads"):
            check_folder_apart(out, [tmp_path / "hard", inside])
    check_folder_apart(out, [tmp_path, tmp_path / "hard", tmp_path / "a", tmp_path / "a" / "out2"])
    check_folder_apart(tmp_path / "missing", [tmp_path / "missing" / "file"])


def clash(folder: Path, *paths: str) -> str:
    with pytest.raises(ConfigError) as caught:
        check_distinct(folder, lambda: [(path, f"<{n}>") for n, path in enumerate(paths)], "do!")
    return str(caught.value)


def test_outputs_that_share_a_path(tmp_path: Path) -> None:
    assert clash(tmp_path, "b", "a/c", "a/c") == f"{tmp_path}/a/c: would be both <1> and <2>; do!"
    assert (
        clash(tmp_path, "b", "b/c/d")
        == f"{tmp_path}/b: would be both <0> and a folder for <1>; do!"
    )
    assert "would be both <1> and a folder for <0>" in clash(tmp_path, "a/b/c", "a/b")
    different = ("a", "b/a", "b/c/a", "ab", "b.a")
    check_distinct(tmp_path, lambda: [(path, "") for path in different], "")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("A/b.png", "a/B.png"),
        ("stra\u00dfe", "STRASSE"),
        ("\u00e9", unicodedata.normalize("NFD", "\u00e9")),
        ("a", "A/b"),
    ],
)
def test_names_that_some_file_systems_take_for_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: str, second: str
) -> None:
    monkeypatch.setattr("picie.runtime.outputs._folds_names", lambda _: False)
    check_distinct(tmp_path, lambda: [(first, "1"), (second, "2")], "")
    assert "would be both <0> and <0>" not in clash(tmp_path, first, second, first)
    monkeypatch.setattr("picie.runtime.outputs._folds_names", lambda _: True)
    assert "would be both" in clash(tmp_path, first, second)


def test_the_file_system_is_asked_in_the_nearest_folder(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    files = [("a", "1"), ("A", "2")]
    if (tmp_path / "X").exists():  # this disk ignores case
        assert "would be both" in clash(tmp_path / "new", "a", "A")
    else:
        check_distinct(tmp_path / "new" / "folder", lambda: files, "")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    check_distinct(Path("/proc"), lambda: files, "")  # where nothing can be written


def test_changed_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a", "sub/b", "mark"):
        (tmp_path / name).write_text(name)
    written = list_files(tmp_path)
    assert sorted(written) == ["a", "mark", "sub/b"]
    assert changed_file(tmp_path, written, but=()) == ""
    (tmp_path / "mark").write_text("other")
    assert changed_file(tmp_path, written, but=("mark",)) == ""
    (tmp_path / "sub" / "c").symlink_to("b")
    assert changed_file(tmp_path, written, but=("mark",)) == "sub/c"
    (tmp_path / "sub" / "c").unlink()
    (tmp_path / "sub" / "b").write_text("longer")
    assert changed_file(tmp_path, written, but=("mark",)) == "sub/b"
    os.link(tmp_path / "sub" / "b", tmp_path.parent / "kept")
    assert changed_file(tmp_path, written, but=("mark",)) == ""
    (tmp_path / "a").unlink()
    assert changed_file(tmp_path, {"a": "no list"}, but=("mark",)) == "sub/b"


def test_paths_in_a_storage_are_as_they_are_spelled() -> None:
    check_distinct(None, lambda: [("A/b.png", "1"), ("a/B.png", "2")], "", at="s3://bucket/out")
    with pytest.raises(ConfigError, match="s3://bucket/out/a: would be both 1 and 2; do!"):
        check_distinct(None, lambda: [("a", "1"), ("a", "2")], "do!", at="s3://bucket/out")

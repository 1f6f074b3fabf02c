from pathlib import Path

import pytest

from picie.data.listing import few, inside, read_lines, walk
from picie.errors import DataError


def test_hidden_and_left_out_files_are_not_walked(tmp_path: Path) -> None:
    for name in ("b/y", "a", ".hidden/z", "b/.x", "masks/m"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = sorted(inside(tmp_path, file) for file in walk(tmp_path))
    assert found == ["a", "b/y", "masks/m"]
    without = str(tmp_path / "masks")
    assert sorted(inside(tmp_path, file) for file in walk(tmp_path, without=without)) == found[:2]


def test_lines_are_stripped_and_may_begin_with_a_mark(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeff a \r\nç\n\n".encode())
    assert read_lines(tmp_path / "a.txt") == ["a", "ç", ""]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(
        DataError, match=r"a\.txt: cannot be read \(it is not UTF-8 text\); correct"
    ):
        read_lines(tmp_path / "a.txt")
    with pytest.raises(DataError, match=r"b\.txt: cannot be read \(No such file"):
        read_lines(tmp_path / "b.txt")
    with pytest.raises(DataError, match=r"gone: cannot be listed \(No such file"):
        list(walk(tmp_path / "gone"))


def test_few_of_many() -> None:
    assert few([1, 2, 3]) == "1, 2, 3"
    assert few(["a", "b", "c"], 2) == "a, b, ..."

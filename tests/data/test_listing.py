from pathlib import Path

import pytest

from picie.data.listing import few, inside, walk
from picie.errors import DataError


def test_hidden_and_left_out_files_are_not_walked(tmp_path: Path) -> None:
    for name in ("b/y", "a", ".hidden/z", "b/.x", "masks/m"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = sorted(inside(tmp_path, file) for file in walk(tmp_path))
    assert found == ["a", "b/y", "masks/m"]
    without = {str(tmp_path / "masks")}
    assert sorted(inside(tmp_path, file) for file in walk(tmp_path, without=without)) == found[:2]


def test_a_folder_that_cannot_be_searched(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone: cannot be searched \(No such file"):
        list(walk(tmp_path / "gone"))


def test_few_of_many() -> None:
    assert few([1, 2, 3]) == "1, 2, 3"
    assert few(["a", "b", "c"], 2) == "a, b, ..."

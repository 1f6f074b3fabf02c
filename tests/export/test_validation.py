"""Which photos are kept for validation."""

from itertools import pairwise
from pathlib import Path

import pytest

from picie.data.folder import Photo, PhotoFolder
from picie.errors import ConfigError, DataError
from picie.export.validation import validation_names


def folder(*names: str, root: Path = Path("in")) -> PhotoFolder:
    photos = (Photo(str(root / f"{name}.jpg"), name, None) for name in names)
    return PhotoFolder(root, "", tuple(photos), ())


@pytest.mark.parametrize("count", [2, 3, 7, 10, 11, 250])
@pytest.mark.parametrize("share", ["0.2", "0.5", "0.01"])
def test_a_share_takes_few_runs_of_neighbours(count: int, share: str) -> None:
    names = [f"{number:03}" for number in range(count)]
    chosen = validation_names(folder(*names), "in", share)
    assert len(chosen) == max(1, round(float(share) * count))
    kept = [name in chosen for name in names]
    assert sum(one != other for one, other in pairwise(kept)) <= 9
    assert kept[-1]
    assert validation_names(folder(*names), "in", share) == chosen


def test_a_list_or_a_pattern_can_choose(tmp_path: Path) -> None:
    for name in ("a1", "a2", "b1"):
        (tmp_path / f"{name}.jpg").touch()
    (tmp_path / "last.txt").write_text("a2\nb1\n")
    known = folder("a1", "a2", "b1", root=tmp_path)
    assert validation_names(known, tmp_path, "b*") == {"b1"}
    assert validation_names(known, tmp_path, "last") == {"a2", "b1"}
    assert validation_names(folder("a1", "a2", root=tmp_path), tmp_path, "last") == {
        "a2"
    }  # of another --split
    with pytest.raises(DataError, match=r"missing.txt: does not exist; lists here: last.txt"):
        validation_names(known, tmp_path, "missing")
    with pytest.raises(ConfigError, match="takes 3 of 3 photos, and both training and validation"):
        validation_names(known, tmp_path, "*1+*2")


@pytest.mark.parametrize("val", ["0", "1", "-0.5", "1.5", "nan", "inf"])
def test_impossible_shares_are_refused(val: str) -> None:
    with pytest.raises(ConfigError, match=r"give a share between 0 and 1, such as 0\.2"):
        validation_names(folder("a", "b"), "in", val)


def test_one_photo_cannot_be_divided() -> None:
    with pytest.raises(ConfigError, match="takes 1 of 1 photos"):
        validation_names(folder("a"), "in", "0.2")
    with pytest.raises(ConfigError, match="takes 0 of 1 photos"):
        validation_names(folder("a"), "in", "")

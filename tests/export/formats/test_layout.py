"""Names and colours that layouts can hold."""

import numpy as np
import pytest

from picie.errors import DataError
from picie.export.formats.layout import check_names, distinct, flat_names, indexed
from picie.visualization.palette import palette


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "", "a\0b"])
def test_names_that_lead_out(name: str) -> None:
    with pytest.raises(DataError, match="leads out of the export"):
        check_names(["fine", name])


def test_names_that_stay_inside() -> None:
    check_names(["a b", "sub/..x", "日本/…", "a..b/c"])


def test_flat_names_differ() -> None:
    names = ["a/b", "a__b", "a__b__2", "c"]
    flat = flat_names(names)
    assert list(flat) == names
    assert len(set(flat.values())) == 4
    assert flat["a/b"] == "a__b"
    assert flat["c"] == "c"


def test_colours_become_distinct_by_little() -> None:
    colours = np.array([[0, 0, 0], [9, 9, 9], [9, 9, 9], [255, 255, 255]], np.uint8)
    found = distinct(colours, [(0, 0, 0)])
    assert len({(0, 0, 0), *map(tuple, found.tolist())}) == 5
    assert np.abs(found.astype(int) - colours).sum(1).max() <= 16
    assert found[1].tolist() == [9, 9, 9]
    assert np.array_equal(distinct(palette(7), [(0, 0, 0)]), palette(7))


def test_values() -> None:
    mask = np.array([[0, 2, -1]])
    assert indexed(mask, first=0, void=255).tolist() == [[0, 2, 255]]
    assert indexed(mask, first=1, void=0).tolist() == [[1, 3, 0]]

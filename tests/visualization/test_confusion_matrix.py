"""The image of a confusion matrix: what stands where, read back from its pixels."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picie.errors import DataError, PicieError
from picie.visualization.confusion_matrix import shade, write_confusion

CELL = 34
FRAME, INK = (222, 226, 230), (33, 37, 41)


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        return np.asarray(image)


def cell_centres(image: NDArray[np.uint8], colour: Any) -> tuple[float, float]:
    """Mean row and column of the pixels of a colour that occurs in one cell only."""
    rows, columns = np.nonzero((image == np.asarray(colour)).all(-1))
    return float(rows.mean()), float(columns.mean())


def write(path: Path, matrix: Any, mapping: list[int], **options: Any) -> NDArray[np.uint8]:
    names = [f"class {label}" for label in range(len(matrix))]
    write_confusion(path, np.array(matrix), names, mapping, **options)
    return pixels(path)


def test_columns_stand_in_the_order_of_their_classes(tmp_path: Path) -> None:
    """Cluster 0 is class 1 and cluster 2 class 0; cluster 1 is unmatched and comes last."""
    matrix = [[2, 11, 87], [76, 14, 10]]
    image = write(tmp_path / "a.png", matrix, [1, -1, 0])
    first = cell_centres(image, shade(87))
    second = cell_centres(image, shade(76))
    unmatched = cell_centres(image, shade(14))
    assert first[0] == pytest.approx(second[0] - CELL, abs=2)  # class 0 above class 1
    assert first[1] == pytest.approx(second[1] - CELL, abs=2)  # cluster 2 before cluster 0
    assert unmatched[0] == pytest.approx(second[0], abs=2)
    assert unmatched[1] == pytest.approx(second[1] + CELL + 10, abs=3)  # behind a gap
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_rows_are_in_per_cent_of_their_class(tmp_path: Path) -> None:
    small = write(tmp_path / "small.png", [[87, 13], [24, 76]], [0, 1])
    large = write(tmp_path / "large.png", [[8700, 1300], [24, 76]], [0, 1])
    assert cell_centres(small, shade(87)) == cell_centres(large, shade(87))
    assert cell_centres(small, shade(24)) == cell_centres(large, shade(24))


def test_a_class_without_a_pixel_is_grey(tmp_path: Path) -> None:
    with_pixel = write(tmp_path / "a.png", [[87, 13], [24, 76]], [0, 1])
    without = write(tmp_path / "b.png", [[87, 13], [0, 0]], [0, 1])

    def grey(image: NDArray[np.uint8]) -> int:
        return int((image == FRAME).all(-1).sum())

    assert grey(without) > grey(with_pixel) + 1.5 * CELL**2


def test_cells_of_the_own_class_are_framed(tmp_path: Path) -> None:
    matched = write(tmp_path / "a.png", [[5, 5], [5, 5]], [0, 1])
    swapped = write(tmp_path / "b.png", [[5, 5], [5, 5]], [1, 0])
    none = write(tmp_path / "c.png", [[5, 5], [5, 5]], [-1, -1])

    def ink(image: NDArray[np.uint8]) -> int:
        return int((image == INK).all(-1).sum())

    assert ink(matched) - ink(none) > 1.5 * 4 * 2 * (CELL - 4)  # two frames, two pixels wide
    assert (matched != swapped).any()


def test_numbers_stand_in_the_cells_of_up_to_30_classes(tmp_path: Path) -> None:
    few = write(tmp_path / "few.png", np.eye(30, dtype=np.int64), list(range(30)))
    many = write(tmp_path / "many.png", np.eye(31, dtype=np.int64), list(range(31)))
    assert few.shape[0] > 30 * CELL
    assert many.shape[0] < 31 * CELL  # smaller cells without numbers


@pytest.mark.parametrize("title", ["", "accuracy 50 %"])
def test_a_title_takes_one_line(tmp_path: Path, title: str) -> None:
    plain = write(tmp_path / "a.png", [[1, 0], [0, 1]], [0, 1])
    titled = write(tmp_path / "b.png", [[1, 0], [0, 1]], [0, 1], title=title)
    assert len(titled) - len(plain) == (22 if title else 0)


def test_hundreds_of_clusters_are_added_up_by_class(tmp_path: Path) -> None:
    matrix = np.ones((3, 400), np.int64)
    mapping = [0, 1, -1, 1] * 100  # class 2 has none
    image = write(tmp_path / "a.png", matrix, mapping)
    assert image.shape[1] == 560  # three columns: the least width
    assert cell_centres(image, shade(50))[1] > cell_centres(image, shade(25))[1] - 2 * CELL


@pytest.mark.parametrize("names", [["x" * 300, "y"], ["sky", "日本"]])
def test_long_and_foreign_names_can_be_drawn(tmp_path: Path, names: list[str]) -> None:
    write_confusion(tmp_path / "a.png", np.eye(2, dtype=np.int64), names, [0, 1])
    assert pixels(tmp_path / "a.png").shape[1] < 900


def test_same_input_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write(tmp_path / name, [[3, 1], [2, 5]], [0, 1], title="one")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_shades_darken_from_paper() -> None:
    assert shade(0) == (255, 255, 255)
    light = [sum(shade(percent)) for percent in range(101)]
    assert all(later < earlier for earlier, later in itertools.pairwise(light))


@pytest.mark.parametrize(
    ("matrix", "mapping"), [([[1, 2]], [0, 1, 1]), ([[1, 2], [3, 4]], [0, 1]), ([[0, 0]], [0, -1])]
)
def test_what_does_not_fit_is_named(tmp_path: Path, matrix: Any, mapping: list[int]) -> None:
    with pytest.raises(
        DataError, match=r"a confusion matrix of shape .* cannot be drawn with 1 cl"
    ):
        write_confusion(tmp_path / "a.png", np.array(matrix), ["one"], mapping)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(PicieError, match=r"gone/a.png: cannot be written"):
        write(tmp_path / "gone" / "a.png", [[1]], [0])

"""The image sheet: what stands where, read back from its pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picie.errors import ConfigError, DataError, PicieError
from picie.types import IGNORED
from picie.visualization.palette import palette
from picie.visualization.sheet import write_sheet

Row = tuple[str, NDArray[np.uint8], NDArray[np.int64]]


def scene(name: str = "scene.jpg", height: int = 40, width: int = 60, split: int = 30) -> Row:
    mask = np.zeros((height, width), dtype=np.int64)
    mask[:, split:] = 1
    return name, np.full((height, width, 3), 128, dtype=np.uint8), mask


def pixels(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.mode == "RGB"
        return np.asarray(image)


def count(sheet: NDArray[np.uint8], colour: Any) -> int:
    return int((sheet == np.asarray(colour)).all(-1).sum())


def swatches(sheet: NDArray[np.uint8], colours: NDArray[np.uint8]) -> list[int]:
    """Cluster ids of the legend, in reading order, found by their 15 x 15 pixels of one colour."""
    found: list[tuple[int, int, int]] = []
    for cluster, colour in enumerate(colours):
        rows, columns = np.nonzero((sheet == colour).all(-1))
        if len(rows):
            found.append((int(rows.max()), int(columns[rows == rows.max()].min()), cluster))
    return [cluster for *_, cluster in sorted(found)]


def test_panels_and_swatches_have_their_size(tmp_path: Path) -> None:
    path, colours = tmp_path / "sheet.png", palette(2)
    write_sheet(path, [scene(split=15)], colours, height=80)
    sheet = pixels(path)
    assert count(sheet, (128, 128, 128)) >= 80 * 120  # the photo, 40 x 60 doubled
    assert count(sheet, colours[0]) == 80 * 30 + 15 * 15
    assert count(sheet, colours[1]) == 80 * 90 + 15 * 15
    assert [entry.name for entry in tmp_path.iterdir()] == ["sheet.png"]


def test_legend_lists_clusters_that_occur_the_most_frequent_first(tmp_path: Path) -> None:
    name, image, mask = scene()
    mask[:] = 4
    mask[:, :20] = 1
    mask[:, 20:28] = 3
    write_sheet(tmp_path / "sheet.png", [(name, image, mask)], palette(6), height=40)
    assert swatches(pixels(tmp_path / "sheet.png"), palette(6)) == [4, 1, 3]


def test_shares_are_those_of_whole_masks(tmp_path: Path) -> None:
    """A large image weighs more than a small one, although their panels are of one size."""
    large, small = scene(height=80, width=120, split=120), scene(height=20, width=30, split=0)
    write_sheet(tmp_path / "a.png", [small, large], palette(2), height=40)
    assert swatches(pixels(tmp_path / "a.png"), palette(2)) == [0, 1]


def test_names_change_overlay_and_legend_only(tmp_path: Path) -> None:
    write_sheet(tmp_path / "ids.png", [scene()], palette(2), height=80)
    write_sheet(tmp_path / "names.png", [scene()], palette(2), names=["sky", "sea"], height=80)
    ids, names = pixels(tmp_path / "ids.png"), pixels(tmp_path / "names.png")
    assert ids.shape == names.shape
    differing = (ids != names).any(2)
    panels = 24 + 22 + 22 + 80  # margin, headings, caption, panel
    assert differing[:panels].any()
    assert not differing[:panels, : 24 + 2 * (120 + 8)].any()  # photo and clusters
    assert differing[panels:].any()


@pytest.mark.parametrize("names", [None, ["a", "b"]])
def test_rows_may_be_an_iterator_and_of_mixed_sizes(tmp_path: Path, names: Any) -> None:
    rows = (scene(f"{width}.jpg", 30, width, width // 2) for width in (10, 45, 200))
    write_sheet(tmp_path / "sheet.png", rows, palette(2), names=names, height=60)
    sheet = pixels(tmp_path / "sheet.png")
    assert sheet.shape[1] == 2 * 24 + 3 * 120 + 2 * 8  # the widest panel is twice as wide as high
    one_row = 22 + 60 + 16
    write_sheet(tmp_path / "two.png", [scene(), scene()], palette(2), height=60)
    write_sheet(tmp_path / "one.png", [scene()], palette(2), height=60)
    assert len(pixels(tmp_path / "two.png")) - len(pixels(tmp_path / "one.png")) == one_row


def test_same_input_same_bytes(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        write_sheet(tmp_path / name, [scene()], palette(2))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_legend_of_hundreds_ends_with_the_rest(tmp_path: Path) -> None:
    name, image, mask = scene()
    mask[:] = np.arange(mask.size).reshape(mask.shape) % 300
    write_sheet(tmp_path / "many.png", [(name, image, mask)], palette(300), height=32)
    write_sheet(tmp_path / "few.png", [(name, image, mask % 61)], palette(300), height=32)
    assert len(pixels(tmp_path / "many.png")) == len(pixels(tmp_path / "few.png"))


def test_ignored_pixels_are_in_no_share_of_the_legend(tmp_path: Path) -> None:
    name, image, mask = scene()
    half = mask.copy()
    half[: len(mask) // 2] = IGNORED
    half[len(mask) // 2 :] = 1
    whole = np.full_like(mask, 1)
    for file, shown in (("half.png", half), ("whole.png", whole)):
        write_sheet(tmp_path / file, [(name, image, shown)], palette(2))
    half_legend, whole_legend = (
        pixels(tmp_path / file)[-70:] for file in ("half.png", "whole.png")
    )
    assert np.array_equal(half_legend, whole_legend)
    write_sheet(tmp_path / "none.png", [(name, image, np.full_like(mask, IGNORED))], palette(2))


def test_no_rows_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"sheet.png: no image to show; give at least one row"):
        write_sheet(tmp_path / "sheet.png", [], palette(2))


def test_names_must_fit(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="3 names for 2 clusters; give one per cluster"):
        write_sheet(tmp_path / "sheet.png", [scene()], palette(2), names=["a", "b", "c"])


def test_height_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="panels of 31 pixels is too small; choose 32 or more"):
        write_sheet(tmp_path / "sheet.png", [scene()], palette(2), height=31)


def test_sizes_must_fit(tmp_path: Path) -> None:
    name, image, mask = scene()
    with pytest.raises(DataError, match=r"does not match a mask of shape \(60, 40\); give"):
        write_sheet(tmp_path / "sheet.png", [(name, image, mask.T)], palette(2))


def test_an_id_without_colour_is_found_even_where_shrinking_would_hide_it(tmp_path: Path) -> None:
    name, image, mask = scene(height=400, width=400)
    mask[0, 0] = 7
    with pytest.raises(DataError, match="cluster id 7, but there are 2 colours"):
        write_sheet(tmp_path / "sheet.png", [(name, image, mask)], palette(2), height=32)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(PicieError, match=r"gone/sheet.png: cannot be written"):
        write_sheet(tmp_path / "gone" / "sheet.png", [scene()], palette(2))

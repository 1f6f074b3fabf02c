"""Mask files read back exactly; overlays against a slow loop."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picie.errors import ConfigError, DataError, PicieError
from picie.types import IGNORED
from picie.visualization.masks import (
    colour_mask,
    is_signed_png,
    mask_image,
    overlay,
    png_bytes,
    write_png,
)
from picie.visualization.palette import Colours, palette


def write_mask(mask: NDArray[Any], path: Path, colours: Colours) -> None:
    write_png(mask_image(mask, colours), path)


def random_mask(clusters: int, height: int = 7, width: int = 9) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, clusters, (height, width))


def bit_depth_and_colour_type(path: Path) -> tuple[int, int]:
    header = path.read_bytes()[:26]
    return header[24], header[25]


@pytest.mark.parametrize("kind", [np.uint8, np.int64])
@pytest.mark.parametrize("clusters", [1, 2, 5, 27, 255])
def test_few_clusters_make_an_indexed_file(tmp_path: Path, clusters: int, kind: Any) -> None:
    mask = random_mask(clusters).astype(kind)
    mask[0, 0] = clusters - 1
    path = tmp_path / "mask.png"
    write_mask(mask, path, palette(clusters))
    assert bit_depth_and_colour_type(path) == (8, 3)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), mask)
        np.testing.assert_array_equal(
            np.asarray(image.convert("RGB")), colour_mask(mask, palette(clusters))
        )


@pytest.mark.parametrize("clusters", [256, 65536])
def test_many_clusters_make_a_sixteen_bit_file(tmp_path: Path, clusters: int) -> None:
    mask = random_mask(clusters)
    mask[0, 0] = clusters - 1
    path = tmp_path / "mask.png"
    write_mask(mask, path, palette(clusters))
    assert bit_depth_and_colour_type(path) == (16, 0)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), mask)


@pytest.mark.parametrize(("clusters", "void"), [(3, 255), (255, 255), (256, 65535)])
def test_ignored_pixels_are_void(tmp_path: Path, clusters: int, void: int) -> None:
    mask = np.array([[0, IGNORED], [clusters - 1, IGNORED]])
    write_mask(mask, tmp_path / "mask.png", palette(clusters))
    with Image.open(tmp_path / "mask.png") as image:
        assert np.asarray(image).tolist() == [[0, void], [clusters - 1, void]]
        if clusters < 256:
            painted = np.asarray(image.convert("RGB"))
            assert np.array_equal(painted, colour_mask(mask, palette(clusters)))
            assert painted[0, 1].tolist() == [255, 255, 255]
        same = np.asarray(mask_image(mask, palette(clusters)))
        assert np.array_equal(np.asarray(image), same)


def test_no_value_is_left_for_ignored_pixels_beside_65536_ids(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="65536 ids leave no value for ignored pixels"):
        write_mask(np.array([[0, IGNORED]]), tmp_path / "mask.png", palette(65536))
    assert list(tmp_path.iterdir()) == []


def test_the_kind_of_file_does_not_depend_on_the_ids_in_it(tmp_path: Path) -> None:
    write_mask(np.zeros((2, 2), dtype=np.int64), tmp_path / "mask.png", palette(300))
    assert bit_depth_and_colour_type(tmp_path / "mask.png") == (16, 0)


def test_an_existing_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    for value in (0, 1):
        write_mask(np.full((3, 3), value), tmp_path / "mask.png", palette(2))
    assert [path.name for path in tmp_path.iterdir()] == ["mask.png"]
    with Image.open(tmp_path / "mask.png") as image:
        assert np.asarray(image).min() == 1


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mask.png"
    write_mask(np.zeros((3, 3), dtype=np.int64), path, palette(2))
    before = path.read_bytes()

    def full_disk(self: Path, data: bytes) -> None:
        with self.open("wb") as file:
            file.write(data[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(PicieError, match=r"mask.png: cannot be written \(No space left on device"):
        write_mask(np.ones((3, 3), dtype=np.int64), path, palette(2))
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(PicieError, match=r"gone/mask.png: cannot be written .* check the folder"):
        write_mask(np.zeros((2, 2), dtype=np.int64), tmp_path / "gone" / "mask.png", palette(2))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.array([[0, 3]]), "mask holds cluster id 3, but there are 3 colours; ids run from 0 to"),
        (np.array([[-2, 0]]), "mask holds cluster id -2, but there are 3 colours"),
        (np.array([[0.0, 1.0]]), "type float64 holds no cluster ids; give an integer array"),
        (np.array([0, 1]), r"mask of shape \(2,\) and type int64 holds no cluster"),
        (np.zeros((0, 4), dtype=np.int64), r"mask of shape \(0, 4\)"),
    ],
)
def test_bad_masks_are_named(mask: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        write_mask(mask, tmp_path / "mask.png", palette(3))
    with pytest.raises(DataError, match=message):
        colour_mask(mask, palette(3))
    assert not list(tmp_path.iterdir())


def test_colour_mask_equals_the_loop() -> None:
    mask, colours = random_mask(12), palette(12)
    painted = colour_mask(mask, colours)
    assert painted.dtype == np.uint8
    for (row, column), cluster in np.ndenumerate(mask):
        assert painted[row, column].tolist() == colours[cluster].tolist()


def test_an_overlay_leaves_ignored_pixels_as_they_are() -> None:
    image = np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    mask = np.full((6, 8), IGNORED)
    mask[:, 4:] = 1
    blended = overlay(image, mask, palette(2), opacity=1.0)
    assert np.array_equal(blended[:, :3], image[:, :3])
    assert np.array_equal(blended[:, 4:], np.broadcast_to(palette(2)[1], (6, 4, 3)))


@pytest.mark.parametrize("opacity", [0.0, 0.3, 1.0])
def test_overlay_away_from_boundaries_equals_the_loop(opacity: float) -> None:
    image = np.random.default_rng(1).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    mask = np.zeros((6, 8), dtype=np.int64)
    mask[:, 4:] = 1
    colours = palette(2)
    result = overlay(image, mask, colours, opacity)
    for row in range(6):
        for column in (0, 1, 2, 4, 5, 6, 7):
            for channel in range(3):
                colour = int(colours[mask[row, column], channel])
                expected = (1 - opacity) * int(image[row, column, channel]) + opacity * colour
                assert abs(int(result[row, column, channel]) - expected) <= 0.5 + 1e-9


def test_lines_are_one_pixel_wide_and_lighter_than_both_sides() -> None:
    image = np.zeros((5, 8, 3), dtype=np.uint8)
    mask = np.zeros((5, 8), dtype=np.int64)
    mask[:, 4:] = 1
    light = overlay(image, mask, palette(2)).mean(-1)
    assert (light[:, 3] > light[:, [2, 4]].max(1) + 50).all()
    assert len(np.unique(light[:, :3])) == len(np.unique(light[:, 4:])) == 1


def test_one_cluster_has_no_lines_and_inputs_stay_as_they_are() -> None:
    image = np.full((4, 4, 3), 100, dtype=np.uint8)
    mask = np.zeros((4, 4), dtype=np.int64)
    np.testing.assert_array_equal(overlay(image, mask, palette(1), 0.0), image)
    overlay(image, mask, palette(1), 1.0)
    assert (image == 100).all()


def test_sizes_must_fit() -> None:
    image = np.zeros((4, 5, 3), dtype=np.uint8)
    with pytest.raises(
        DataError, match=r"photo of shape \(4, 5, 3\) .* mask of shape \(5, 4\); give"
    ):
        overlay(image, np.zeros((5, 4), dtype=np.int64), palette(1))


@pytest.mark.parametrize("opacity", [-0.1, 1.5])
def test_opacity_is_checked(opacity: float) -> None:
    image, mask = np.zeros((2, 2, 3), dtype=np.uint8), np.zeros((2, 2), dtype=np.int64)
    with pytest.raises(ConfigError, match=f"opacity {opacity} is out of range; choose 0 to 1"):
        overlay(image, mask, palette(1), opacity)


def test_photo_must_be_in_eight_bits() -> None:
    image = np.zeros((2, 2, 3), dtype=np.float32)
    with pytest.raises(DataError, match=r"type float32 does not match .* give \(H, W, 3\) uint8"):
        overlay(image, np.zeros((2, 2), dtype=np.int64), palette(1))  # type: ignore[arg-type]


def test_a_signed_file_is_recognised(tmp_path: Path) -> None:
    image = Image.new("RGB", (3, 3))
    for signed in (True, False):
        write_png(image, tmp_path / "a.png", signed=signed)
        assert is_signed_png(tmp_path / "a.png") == signed
    (tmp_path / "a.png").write_text("tEXtSoftware\0picie 1")
    assert not is_signed_png(tmp_path / "a.png")
    with Image.open(io.BytesIO(png_bytes(image, signed=True))) as read:
        assert read.info["Software"].startswith("picie ")

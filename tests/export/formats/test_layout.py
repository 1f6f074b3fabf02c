"""Names and colours that layouts can hold."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie.errors import DataError
from picie.export.formats.layout import (
    Labelled,
    check_names,
    distinct,
    indexed,
    put_photo,
)
from picie.visualization.palette import palette


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/x", "", "a\0b"])
def test_names_that_lead_out(name: str) -> None:
    with pytest.raises(DataError, match="leads outside the export"):
        check_names(["fine", name])


def test_names_that_stay_inside() -> None:
    check_names(["a b", "sub/..x", "日本/…", "a..b/c"])


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


# --- how photos come into layouts


def test_copies_and_links(gallery: list[Labelled], tmp_path: Path) -> None:
    one = gallery[0]
    put_photo(one, tmp_path / "x" / "copy.jpg", "copy")
    put_photo(one, tmp_path / "x" / "link.jpg", "link")
    put_photo(one, tmp_path / "x" / "none.jpg", "none")
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["copy.jpg", "link.jpg"]
    assert not (tmp_path / "x" / "copy.jpg").samefile(one.path)
    assert (tmp_path / "x" / "link.jpg").samefile(one.path)


def test_a_link_to_a_photo_is_followed(gallery: list[Labelled], tmp_path: Path) -> None:
    one = gallery[0]
    (tmp_path / "link.jpg").symlink_to(one.path)
    linked = Labelled("link", "link.jpg", tmp_path / "link.jpg", one.image, one.mask, True)
    put_photo(linked, tmp_path / "out.jpg", "link")
    assert not (tmp_path / "out.jpg").is_symlink()
    assert (tmp_path / "out.jpg").samefile(one.path)


def test_copies_where_links_cannot_be(
    gallery: list[Labelled], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_disk(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", other_disk)
    put_photo(gallery[0], tmp_path / "x.jpg", "link")
    assert (tmp_path / "x.jpg").read_bytes() == gallery[0].path.read_bytes()


@pytest.mark.parametrize("policy", ["copy", "link"])
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".TIFF"])
def test_turned_photos_are_written_upright(
    turned: Labelled, tmp_path: Path, suffix: str, policy: str
) -> None:
    path = tmp_path / f"x{suffix}"
    put_photo(turned, path, "copy" if policy == "copy" else "link")
    with Image.open(path) as image:
        assert image.size == (20, 40)
        assert image.getexif().get(0x112, 1) == 1
        assert np.abs(np.asarray(image).astype(int) - turned.image).max() < 60
    with Image.open(turned.path) as image:
        assert image.size == (40, 20)


def test_another_format_is_written_anew(gallery: list[Labelled], tmp_path: Path) -> None:
    png = gallery[1]
    put_photo(png, tmp_path / "x.jpg", "copy")
    with Image.open(tmp_path / "x.jpg") as image:
        assert image.format == "JPEG"
    put_photo(png, tmp_path / "x.png", "link")
    assert (tmp_path / "x.png").samefile(png.path)

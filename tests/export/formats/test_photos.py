"""How photos come into layouts."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie.export.formats.layout import Labelled, photo_file, put_photo, put_photo_as


def test_copies_and_links(gallery: list[Labelled], tmp_path: Path) -> None:
    one = gallery[0]
    assert photo_file(one) == "a b.jpg"
    put_photo(one, tmp_path / "x" / "copy.jpg", "copy")
    put_photo(one, tmp_path / "x" / "link.jpg", "link")
    put_photo(one, tmp_path / "x" / "none.jpg", "none")
    assert sorted(path.name for path in (tmp_path / "x").iterdir()) == ["copy.jpg", "link.jpg"]
    assert not (tmp_path / "x" / "copy.jpg").samefile(one.path)
    assert (tmp_path / "x" / "link.jpg").samefile(one.path)


def test_a_link_to_a_photo_is_followed(gallery: list[Labelled], tmp_path: Path) -> None:
    one = gallery[0]
    (tmp_path / "link.jpg").symlink_to(one.path)
    linked = Labelled("link", tmp_path / "link.jpg", one.image, one.mask, True)
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
    put_photo_as(png, tmp_path / "x.jpg", "copy", ".jpg")
    with Image.open(tmp_path / "x.jpg") as image:
        assert image.format == "JPEG"
    put_photo_as(png, tmp_path / "x.png", "link", ".png")
    assert (tmp_path / "x.png").samefile(png.path)

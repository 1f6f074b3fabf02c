"""What the images of a folder hold decides how they are read."""

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from picie.data import survey
from picie.data.folder import open_folder
from picie.data.images import read_image, read_stored
from picie.data.reading import Reading
from picie.data.stored import Stored
from picie.data.survey import Look, look, page_counts, settle
from picie.data.synthetic.scenes import draw_scene

SCENE = draw_scene(0, 1, (60, 80))[0]


def save(path: Path, values: NDArray[Any], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        settings = {"photometric": "rgb" if values.ndim == 3 else "minisblack", "metadata": None}
        tifffile.imwrite(path, values, **settings | options)
    elif values.dtype == np.uint8:
        Image.fromarray(values).save(path, **options)
    else:
        path.write_bytes(imagecodecs.png_encode(values))
    return path


def deep(top: int = 4095) -> NDArray[np.uint16]:
    return np.rint(SCENE / 255 * top).astype(np.uint16)


def settled(folder: Path, **reading: Any) -> tuple[Reading, tuple[str, ...]]:
    opened = open_folder(folder, reading=Reading(**reading))
    return opened.reading, opened.notes


def test_plain_images_have_no_stretch_and_nothing_is_said(tmp_path: Path) -> None:
    for name in ("a.png", "b.jpg", "c.tif", "d.webp", "e.gif", "f.bmp"):
        save(tmp_path / name, SCENE)
    assert settled(tmp_path) == (Reading(), ())
    assert settled(tmp_path / "a.png") == (Reading(), ())


def test_a_folder_has_one_stretch(tmp_path: Path) -> None:
    save(tmp_path / "a.png", deep(4095))
    save(tmp_path / "b.tif", deep(200))  # a dark one
    save(tmp_path / "c.png", SCENE)
    reading, notes = settled(tmp_path)
    assert reading == Reading(stretch=(0, 4095))
    assert notes == (
        "12-bit images (2 of 3): values 0 to 4095 become 0 to 255 (--stretch LOW HIGH changes "
        "that)",
    )
    assert np.array_equal(read_image(tmp_path / "a.png", reading), SCENE)
    assert read_image(tmp_path / "b.tif", reading).max() <= 13
    assert settled(tmp_path / "b.tif")[0].stretch == (0, 255)  # alone


def test_percentiles_and_missing_data_are_said(tmp_path: Path) -> None:
    kelvin = (280 + SCENE.mean(2) / 255 * 40).astype(np.float32)
    kelvin[:20, :20] = -9999
    save(tmp_path / "a.tif", kelvin)
    reading, notes = settled(tmp_path)
    assert reading.stretch is not None
    assert reading.stretch == pytest.approx((280, 320), abs=9)
    low, high = reading.stretch
    assert notes == (
        f"float32 images: values {low:g} to {high:g} become 0 to 255, the 0.5th to 99.5th "
        "percentile; -9999 counts as missing (--stretch LOW HIGH changes that)",
    )


def test_a_given_stretch_stays(tmp_path: Path) -> None:
    save(tmp_path / "a.png", deep(4095))
    reading, notes = settled(tmp_path, stretch=(0, 4095))
    assert reading.stretch == (0.0, 4095.0)
    assert notes == ("deep images: values 0 to 4095 become 0 to 255",)
    _, notes = settled(tmp_path, stretch=(0, 200_000))
    assert notes[1] == (
        "1 of 1 deep images looked at show next to nothing between 0 and 200000 (first: "
        f"{tmp_path / 'a.png'}); put images of one kind into one folder, or choose --stretch LOW "
        "HIGH"
    )


def test_a_mix_of_kinds_is_said(tmp_path: Path) -> None:
    for name in "abc":
        save(tmp_path / f"{name}.png", deep())
    save(tmp_path / "d.tif", (SCENE / 255).astype(np.float32))
    reading, notes = settled(tmp_path)
    assert reading.stretch == (0.0, 4095.0)
    assert notes[1].startswith("1 of 4 deep images looked at show next to nothing between 0 and")
    assert "d.tif" in notes[1]


def test_unreadable_images_do_not_matter(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", deep())
    (tmp_path / "b.tif").write_bytes(path.read_bytes()[:300])
    (tmp_path / "c.png").write_bytes(save(tmp_path / "x.png", deep()).read_bytes()[:90])
    (tmp_path / "d.gif").write_text("text")
    assert settled(tmp_path)[0].stretch == (0, 4095)
    path.unlink()
    (tmp_path / "x.png").unlink()
    assert settled(tmp_path) == (Reading(), ())


def test_pages_are_counted_and_said(tmp_path: Path) -> None:
    image, other = Image.fromarray(SCENE), Image.fromarray(SCENE[::-1].copy())
    for name in ("a.tif", "b.gif", "c.webp", "d.png"):
        image.save(tmp_path / name, save_all=True, append_images=[other, image])
    save(tmp_path / "e.jpg", SCENE)
    files = [str(file) for file in sorted(tmp_path.iterdir())]
    assert page_counts(files) == [3, 3, 3, 3, 1]
    assert settled(tmp_path)[1] == (
        f"4 files have several pages or frames (first: {files[0]}); only the first of each is used "
        "(--pages all makes each an image)",
    )
    assert settled(tmp_path, pages="all")[1] == ()


def test_all_pages_are_images(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full((8, 9), 50 * page, np.uint8)) for page in range(4)]
    for name in ("stack.tif", "stack.gif"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    save(tmp_path / "stack_p002.png", SCENE)
    folder = open_folder(tmp_path, reading=Reading(pages="all"))
    names = [photo.name for photo in folder.photos]
    every = [f"p00{page}" for page in range(1, 5)]
    assert len(set(names)) == len(names) == 9
    assert [name for name in names if "tif" in name] == [f"stack.tif_{page}" for page in every]
    assert {"stack_p001", "stack_p002", "stack_p002_", "stack_p003"} < set(names)
    for photo in folder.photos:
        if "tif" in photo.name:
            shown = read_image(photo.path, folder.reading, photo.page)
            assert (shown == 50 * photo.page).all()
    (tmp_path / "some.txt").write_text("stack.tif\nstack_p003\n")
    chosen = open_folder(tmp_path, "some", reading=Reading(pages="all"))
    wanted = [*(f"stack.tif_{page}" for page in every), "stack_p003"]
    assert [photo.name for photo in chosen.photos] == wanted
    single = open_folder(tmp_path / "stack.tif", reading=Reading(pages="all"))
    assert [photo.name for photo in single.photos] == [f"stack_{page}" for page in every]


def test_pages_have_masks_of_their_own(tmp_path: Path) -> None:
    pages = [Image.new("L", (8, 9), 50 * page) for page in range(2)]
    (tmp_path / "images").mkdir()
    pages[0].save(tmp_path / "images/a.tif", save_all=True, append_images=pages[1:])
    save(tmp_path / "masks/a_p002.png", np.zeros((9, 8), np.uint8))
    photos = open_folder(tmp_path, reading=Reading(pages="all")).photos
    assert [photo.mask_file is not None for photo in photos] == [False, True]


def test_channels_are_named(tmp_path: Path) -> None:
    stack = np.stack([deep()[..., band] for band in range(3)])
    names = {"Name": ["DAPI", "GFP", "RFP"]}
    metadata = {"axes": "CYX", "Channel": names}
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata=metadata, photometric="minisblack")
    reading, notes = settled(tmp_path)
    assert notes[0] == (
        "1 file has channels (DAPI, GFP, RFP), shown as red, green and blue (--bands chooses)"
    )
    assert np.array_equal(read_image(tmp_path / "a.ome.tif", reading), SCENE)


def test_a_band_that_is_no_opacity_is_said_once(tmp_path: Path) -> None:
    infrared = np.dstack([SCENE, SCENE[::-1, :, 0]])
    for name in ("a.tif", "b.tif"):
        save(tmp_path / name, infrared, extrasamples=["unassalpha"])
    reading, notes = settled(tmp_path)
    assert reading == Reading()
    assert len(notes) == 1
    assert notes[0].startswith(f"the last band of {tmp_path / 'a.tif'} and files like it is tagged")
    assert settled(tmp_path, bands=(4, 3, 2))[1] == ()
    opaque = np.dstack([SCENE, np.full(SCENE.shape[:2], 255, np.uint8)])
    for name in ("a.tif", "b.tif"):
        save(tmp_path / name, opaque, extrasamples=["unassalpha"])
    assert settled(tmp_path)[1] == ()


def test_a_look_at_the_header(tmp_path: Path) -> None:
    assert look(str(save(tmp_path / "a.png", deep()))) == Look(deep=True)
    assert look(str(save(tmp_path / "a.tif", deep()))) == Look(deep=True)
    assert look(str(save(tmp_path / "b.tif", SCENE))) == Look()
    (tmp_path / "a.pgm").write_bytes(b"P5 2 1 4095\n" + b"\x0f\xff\0\0")
    assert look(str(tmp_path / "a.pgm")) == Look(deep=True)
    assert look(str(tmp_path / "missing.png")) == Look()


def test_many_images_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(save(tmp_path / "a.png", deep()))
    read: list[Path] = []

    def spy(path: Path, *how: Any) -> Stored:
        read.append(path)
        return read_stored(path, *how)

    monkeypatch.setattr(survey, "read_stored", spy)
    assert settle([(path, 0)] * 100, Reading())[0].stretch == (0, 4095)
    assert len(read) == 32

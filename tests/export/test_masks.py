"""Exports from end to end: what is in them, and what is left when they fail."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from picie.data.own_outputs import EXPORT_MARK
from picie.data.synthetic.scenes import draw_scene
from picie.errors import ConfigError, DataError, PicieError
from picie.export.formats.layout import Options
from picie.export.formats.png import PngWriter
from picie.export.masks import FORMATS, RASTER_FORMATS, export_masks
from picie.inference.segmenter import Segmenter
from picie.models.class_names import ClassNames, NamedClass
from picie.runtime.progress import Reporter

NAMES = ["a b.png", "same.jpg", "same.png", "sub é/same.jpg", "sub é/日本.png"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for index, name in enumerate(NAMES):
        path = tmp_path / "my photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_scene(1, index, (48 + index, 64))[0]).save(path)
    return tmp_path / "my photos"


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("format", [name for name in FORMATS if name not in RASTER_FORMATS])
def test_every_format_is_the_same_with_any_number_of_threads(
    model: Segmenter, photos: Path, tmp_path: Path, format: str
) -> None:
    # The same last folder: Label Studio's list holds it.
    outs = [tmp_path / str(workers) / "out" for workers in (0, 3)]
    for workers, out in zip((0, 3), outs, strict=True):
        assert export_masks(model, format, photos, out, workers=workers) == len(NAMES)
    first, second = (contents(out) for out in outs)
    assert sorted(first) == sorted(second)
    with_times = {"annotations.zip", EXPORT_MARK}
    assert [name for name in first if name not in with_times and first[name] != second[name]] == []
    mark = json.loads(first[EXPORT_MARK])
    assert (mark["format"], mark["classes"]) == (format, list(model.names))
    assert [path.name for path in outs[0].parent.iterdir()] == ["out"]


def test_masks_are_those_of_the_model(model: Segmenter, photos: Path, tmp_path: Path) -> None:
    export_masks(model, "png", photos, tmp_path / "out", size=64)
    written = {name for name in contents(tmp_path / "out") if name.endswith(".png")}
    expected = {"a b": "a b.png", "same": "same.jpg", "same.png": "same.png"}
    expected |= {"sub é/same": "sub é/same.jpg", "sub é/日本": "sub é/日本.png"}
    assert written == {f"{name}.png" for name in expected}
    for name, file in expected.items():
        with Image.open(tmp_path / "out" / f"{name}.png") as image:
            assert np.array_equal(np.asarray(image), model.predict(photos / file, size=64))


def test_names_and_ignored_classes(model: Segmenter, photos: Path, tmp_path: Path) -> None:
    classes = (NamedClass("meadow", (2,), colour="#0a0b0c"), NamedClass("none", (0,), ignore=True))
    named = model.named(ClassNames(3, classes))
    export_masks(named, "png", photos, tmp_path / "out")
    names = (tmp_path / "out" / "classes.txt").read_text().splitlines()
    assert names == ["meadow", "cluster 1"]
    plain = model.predict(photos / "a b.png")
    with Image.open(tmp_path / "out" / "a b.png") as image:
        assert image.getpalette("RGB")[:3] == [10, 11, 12]  # type: ignore[index]
        assert np.array_equal(np.asarray(image), np.array([255, 1, 0])[plain])


def test_a_turned_photo_and_its_mask_fit(model: Segmenter, tmp_path: Path) -> None:
    image = draw_scene(1, 0, (48, 80))[0]
    tags = Image.Exif()
    tags[0x112] = 6
    (tmp_path / "in").mkdir()
    turned = Image.fromarray(image).rotate(90, expand=True)
    turned.save(tmp_path / "in" / "x.jpg", exif=tags, quality=95)
    export_masks(
        model, "fiftyone", tmp_path / "in", tmp_path / "out", options=Options(photos="link")
    )
    with Image.open(tmp_path / "out/data/x.jpg") as photo:
        assert photo.size == (80, 48)
        with Image.open(tmp_path / "out/labels/x.png") as mask:
            assert mask.size == photo.size


def test_unreadable_photos_are_named_and_left_out(
    model: Segmenter, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "b.jpg").write_text("no image")
    count = export_masks(model, "coco", photos, tmp_path / "out", reporter=Reporter())
    assert count == len(NAMES)
    text = capsys.readouterr().err
    assert text.count("b.jpg: cannot be read as an image") == 1
    assert "5 images in" in text
    assert "(coco), skipped 1 unreadable image" in text
    [unreadable] = json.loads((tmp_path / "out" / EXPORT_MARK).read_text())["unreadable"]
    assert "b.jpg: cannot be read as an image" in unreadable
    read = json.loads((tmp_path / "out/annotations/instances_default.json").read_text())
    assert [image["id"] for image in read["images"]] == [1, 2, 3, 4, 5]
    assert "b.jpg" not in {image["file_name"] for image in read["images"]}


def test_nothing_readable_leaves_nothing(model: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b.jpg").write_text("no image")
    with pytest.raises(DataError, match="none of the 1 images could be read"):
        export_masks(model, "coco", tmp_path / "in", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("format", ["yolo", "cvat", "coco", "labelstudio"])
def test_a_full_disk_leaves_only_masks_for_the_next_call(
    model: Segmenter,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    format: str,
    workers: int,
) -> None:
    copy = shutil.copyfile

    def full(source: Path, target: Path) -> None:
        if source.name == "same.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        copy(source, target)

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(PicieError, match=r"out: cannot be written \(No space left on device\) and"):
        export_masks(model, format, photos, tmp_path / "out", workers=workers)
    assert visible(tmp_path) == ["my photos"]
    [left] = tmp_path.glob(".*")
    assert left.name.startswith(".part-")
    monkeypatch.undo()
    assert export_masks(model, format, photos, tmp_path / "out", workers=workers) == len(NAMES)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my photos", "out"]


def test_stopping_leaves_what_was_there(
    model: Segmenter, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_masks(model, "png", photos, tmp_path / "out")
    before = contents(tmp_path / "out")

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(PngWriter, "add", stop)
    with pytest.raises(KeyboardInterrupt):
        export_masks(model, "png", photos, tmp_path / "out", overwrite=True, workers=0)
    assert contents(tmp_path / "out") == before
    assert visible(tmp_path) == ["my photos", "out"]


def test_an_export_is_replaced_only_if_asked(
    model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export_masks(model, "png", photos, out)
    with pytest.raises(ConfigError, match="out: already exists; choose another --out, or pass"):
        export_masks(model, "yolo", photos, out)
    assert (out / "classes.txt").is_file()
    export_masks(model, "yolo", photos, out, overwrite=True)
    assert not (out / "classes.txt").exists()
    assert (out / "data.yaml").is_file()


def test_photos_inside_the_export_are_not_lost(
    model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    export_masks(model, "cvat", photos, out)
    before = contents(out)
    with pytest.raises(
        ConfigError, match=r"out: contains .*images, which this command reads; choose another"
    ):
        export_masks(model, "cvat", out / "images", out, overwrite=True)
    with pytest.raises(ConfigError, match="contains files that picie did not export"):
        export_masks(model, "cvat", photos, photos, overwrite=True)
    assert contents(out) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "voc2"}, "unknown format 'voc2'; known: png, coco, voc"),
        ({"options": Options(tolerance=-1)}, "tolerance -1: give 0 or more pixels"),
        ({"options": Options(tolerance=float("nan"))}, "tolerance nan: give 0 or more pixels"),
        ({"size": 33}, "size 33: the side must be a multiple of 32"),
    ],
)
def test_what_cannot_be(
    model: Segmenter, photos: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    arguments = {"format": "png"} | change
    call: Callable[..., int] = export_masks
    with pytest.raises(ConfigError, match=message):
        call(model, images=photos, out=tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_links_into_an_export_count_as_photos_inside_it(
    model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out, linked = tmp_path / "out", tmp_path / "linked"
    export_masks(model, "cvat", photos, out)
    before = contents(out)
    linked.mkdir()
    photo = next(path for path in (out / "images").rglob("*.jpg"))
    (linked / "x.jpg").symlink_to(photo)
    with pytest.raises(ConfigError, match=r"out: contains .*x\.jpg, which this command reads"):
        export_masks(model, "cvat", linked, out, overwrite=True)
    assert contents(out) == before


@pytest.mark.parametrize("photos_policy", ["copy", "link"])
def test_work_on_an_export_is_not_lost_with_it(
    model: Segmenter, photos: Path, tmp_path: Path, photos_policy: Any
) -> None:
    out = tmp_path / "out"

    def again() -> int:
        options = Options(photos=photos_policy)
        return export_masks(model, "fiftyone", photos, out, options=options, overwrite=True)

    again()
    assert again() == len(NAMES)
    mask = next((out / "labels").rglob("*.png"))
    mask.write_bytes(mask.read_bytes() + b"corrected")
    with pytest.raises(ConfigError, match=f"{mask.name}: was added or changed since the export"):
        again()
    mask.unlink()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"notes.txt: was added or changed since the export"):
        again()
    (out / "notes.txt").unlink()
    assert again() == len(NAMES)


def test_a_second_export_to_the_folder_is_refused(
    model: Segmenter, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, refused = PngWriter.add, list[str]()

    def again(self: PngWriter, labelled: Any) -> Any:
        with pytest.raises(PicieError) as caught:
            export_masks(model, "png", photos, tmp_path / "out", overwrite=True, workers=0)
        refused.append(str(caught.value))
        return add(self, labelled)

    monkeypatch.setattr(PngWriter, "add", again)
    assert export_masks(model, "png", photos, tmp_path / "out", workers=0) == len(NAMES)
    assert len(refused) == len(NAMES)
    assert "out: is in use by picie export (process " in refused[0]


def test_deep_images_and_pages_are_visible_in_an_export(model: Segmenter, tmp_path: Path) -> None:
    scenes = [draw_scene(1, number, (48, 64))[0] for number in range(2)]
    photos = tmp_path / "photos"
    photos.mkdir()
    with tifffile.TiffWriter(photos / "a.tif") as writer:
        for scene in scenes:
            deep = np.rint(scene / 255 * 1023).astype(np.uint16)
            writer.write(deep, photometric="rgb", contiguous=False, metadata=None)
    every = model.read_as(pages="all")
    assert export_masks(every, "voc", photos, tmp_path / "voc") == 2
    for number, scene in enumerate(scenes, 1):
        shown = np.asarray(Image.open(tmp_path / "voc" / "JPEGImages" / f"a_p00{number}.jpg"))
        assert np.abs(shown.astype(int) - scene).mean() < 6
    export_masks(every, "coco", photos, tmp_path / "coco")
    for number, scene in enumerate(scenes, 1):  # other tools would show the first page of a copy
        [path] = (tmp_path / "coco").rglob(f"a_p00{number}.*")
        assert np.array_equal(np.asarray(Image.open(path)), scene)

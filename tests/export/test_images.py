"""Images on their way into an export: names that change, and photos that are stored turned."""

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pycocotools import mask as coding
from pycocotools.coco import COCO

from picie.data.synthetic.scenes import draw_scene
from picie.errors import DataError
from picie.export.formats.layout import Options
from picie.export.images import NAMES
from picie.export.masks import FORMATS, RASTER_FORMATS, export_masks
from picie.inference.segmenter import Segmenter
from picie.models.class_names import ClassNames, NamedClass
from picie.postprocessing.regions import fill_small_regions
from picie.runtime.progress import Reporter

# Of pycocotools, where it decodes.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

FILES = [
    *(
        "#1 roof.png",
        " lead.png",
        "trail .png",
        "new\nline.png",
        "a:b.png",
        'quo"te.png',
        "t\t.png",
    ),
    *("esc\x1b[31m.png", "back\\slash.png", "nul.png", "dot..png", "A.png", "a.png", "plain.png"),
    *("é.png", "e\u0301.png", "x.jpg", "x.png", "sub/#2.png", "sub.png/y.png", "%41.png"),
    *("latin\udce9.png", "x" * 251 + ".png", "line\u2028.png"),
]
CLASSES = ("#road", 'a:b "<img src=x>" | `c` & &amp;', "no")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for index, name in enumerate(FILES):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_scene(1, index, (32, 48))[0]).save(path)
    return tmp_path / "photos"


@pytest.fixture
def named(model: Segmenter) -> Segmenter:
    classes = tuple(NamedClass(name, (number,)) for number, name in enumerate(CLASSES))
    return model.named(ClassNames(3, classes))


def listed(out: Path, format: str) -> list[str]:
    """Names that the lists of an export hold, or of its files if it has no list."""
    if format == "cvat":
        with zipfile.ZipFile(out / "annotations.zip") as archive:
            return archive.read("ImageSets/Segmentation/default.txt").decode().splitlines()
    if format == "voc":
        text = (out / "ImageSets" / "Segmentation" / "default.txt").read_text(encoding="utf-8")
        return text.splitlines()
    if format == "coco":
        read = json.loads((out / "annotations" / "instances_default.json").read_text())
        return [image["file_name"] for image in read["images"]]
    if format == "huggingface":
        lines = (out / "metadata.jsonl").read_text().splitlines()
        return [json.loads(line)["file_name"].removeprefix("images/") for line in lines]
    if format == "labelstudio":
        prefix = "/data/local-files/?d="
        tasks = json.loads((out / "tasks.json").read_text())
        return [
            unquote(task["data"]["image"].removeprefix(prefix)).removeprefix("out/images/")
            for task in tasks
        ]
    if format == "segmentation":
        parts = [(out / "masks" / part) for part in ("train", "val")]
        masks = ((one, part) for part in parts for one in part.rglob("*.png"))
        return [one.relative_to(part).with_suffix("").as_posix() for one, part in masks]
    where = {"yolo": "labels/train", "fiftyone": "labels", "cityscapes": "gtFine/train"}
    top = out / where.get(format, "")
    end = (
        "_gtFine_labelIds.png" if format == "cityscapes" else ".txt" if format == "yolo" else ".png"
    )
    found = (path.relative_to(top).as_posix() for path in top.rglob(f"*{end}"))
    return [name.removesuffix(end) for name in found]


@pytest.mark.parametrize("format", [name for name in FORMATS if name not in RASTER_FORMATS])
def test_every_name_leads_back(
    named: Segmenter,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    format: str,
) -> None:
    out = tmp_path / "out"
    assert export_masks(named, format, photos, out, reporter=Reporter()) == len(FILES)
    names = listed(out, format)
    assert len(names) == len(set(map(str.casefold, names))) == len(FILES)
    assert all(name == name.strip() and name.splitlines() == [name] for name in names)
    assert not any(name.startswith("#") or set(name) & set(':"\\') for name in names)
    assert all(max(map(len, name.encode().split(b"/"))) <= 205 for name in names)
    renamed = json.loads((out / NAMES).read_text())["images"]
    origins = {renamed.get(name) or _usual(name, FILES) for name in names}
    assert origins == set(FILES)
    assert f"{len(renamed)} image names changed in the export, such as" in capsys.readouterr().err
    for path in out.rglob("*"):
        os.fsencode(path).decode()


def _usual(name: str, files: list[str]) -> str:
    """The file of a name that did not change."""
    return name if name in files else next(file for file in files if file[:-4] == name)


def test_masks_have_the_names_of_their_photos(
    model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    export_masks(model, "voc", photos, tmp_path / "out")
    renamed = json.loads((tmp_path / "out" / NAMES).read_text())["images"]
    for name, file in renamed.items():
        with Image.open(tmp_path / "out" / "SegmentationClass" / f"{name}.png") as image:
            assert np.array_equal(np.asarray(image) - 1, model.predict(photos / file))
        with Image.open(tmp_path / "out" / "JPEGImages" / f"{name}.jpg") as image:
            assert image.size == (48, 32)


def test_names_of_classes_in_lists(named: Segmenter, photos: Path, tmp_path: Path) -> None:
    export_masks(named, "voc", photos / "sub", tmp_path / "voc")
    lines = (tmp_path / "voc" / "labelmap.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in lines[2:]] == [
        "%23road", 'a%3Ab "<img src=x>" | `c` & &amp;', "no",
    ]  # fmt: skip
    assert all(line.count(":") == 3 for line in lines[1:])
    written = json.loads((tmp_path / "voc" / NAMES).read_text())
    assert written["classes"] == {"%23road": CLASSES[0], lines[3].split(":")[0]: CLASSES[1]}
    export_masks(named, "labelstudio", photos / "sub", tmp_path / "ls")
    labels = ElementTree.parse(tmp_path / "ls" / "label_config.xml").iter("Label")
    assert [label.get("value") for label in labels] == list(CLASSES)


def test_without_unusual_names_there_is_no_map(
    model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    export_masks(model, "coco", photos / "plain.png", tmp_path / "out")
    assert not (tmp_path / "out" / NAMES).exists()


# --- photos that are not in the export


@pytest.fixture
def turned(tmp_path: Path) -> Path:
    """One scene under all orientations, and one photo without."""
    (tmp_path / "turned").mkdir()
    for orientation in range(1, 9):
        tags = Image.Exif()
        tags[0x112] = orientation
        scene = Image.fromarray(draw_scene(2, 1, (32, 56))[0])
        scene.save(tmp_path / "turned" / f"{orientation}.png", exif=tags)
    return tmp_path / "turned"


def in_coco(out: Path) -> dict[str, tuple[tuple[int, int], NDArray[Any]]]:
    """Size (W, H) and ids of each image."""
    coco = COCO(out / "annotations" / "instances_default.json")
    found = {}
    for number, image in coco.imgs.items():
        size = image["width"], image["height"]
        mask = np.full(size[::-1], -1)
        for one in coco.loadAnns(coco.getAnnIds(number)):
            mask[coding.decode(coco.annToRLE(one)) > 0] = one["category_id"] - 1
        found[image["file_name"]] = size, mask
    return found


@pytest.mark.parametrize("polygons", [False, True])
def test_masks_fit_photos_as_they_are_stored(
    model: Segmenter,
    turned: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    polygons: bool,
) -> None:
    options = Options("none", polygons, min_area=0)
    export_masks(model, "coco", turned, tmp_path / "out", options=options, reporter=Reporter())
    for file, (size, mask) in in_coco(tmp_path / "out").items():
        with Image.open(turned / file) as image:
            assert image.size == size
            stored = Image.fromarray(mask.astype(np.uint8))
            stored.getexif()[0x112] = image.getexif()[0x112]
        buffer = io.BytesIO()
        stored.save(buffer, "PNG", exif=stored.getexif())
        with Image.open(buffer) as reopened:
            upright = np.asarray(ImageOps.exif_transpose(reopened))
        assert np.array_equal(upright, model.predict(turned / file)), file
    text = capsys.readouterr().err
    assert (
        "7 photos stored turned (EXIF orientation); masks fit the photo as stored: 2.png, 3.png"
        in text
    )


@pytest.mark.parametrize(("format", "stored"), [("cvat", False), ("voc", True), ("yolo", False)])
def test_what_the_readers_of_a_format_do(
    model: Segmenter, turned: Path, tmp_path: Path, format: str, stored: bool
) -> None:
    (tmp_path / "one").mkdir()
    (turned / "6.png").rename(tmp_path / "one" / "6.png")
    out, options = tmp_path / "out", Options("none")
    export_masks(model, format, tmp_path / "one", out, options=options)
    if format == "yolo":
        places = np.array(
            (out / "labels/train/6.txt").read_text().split("\n")[0].split()[1:], float
        )
        assert places.max() <= 1
        return
    if format == "cvat":
        with zipfile.ZipFile(out / "annotations.zip") as archive:
            data = io.BytesIO(archive.read("SegmentationClass/6.png"))
    else:
        data = io.BytesIO((out / "SegmentationClass/6.png").read_bytes())
    with Image.open(data) as mask, Image.open(tmp_path / "one" / "6.png") as photo:
        assert (mask.size == photo.size) is stored


def test_lists_hold_the_paths_of_own_photos(model: Segmenter, tmp_path: Path, photos: Path) -> None:
    files = ["x.jpg", "x.png", "sub/#2.png"]
    for file in set(FILES) - set(files):
        (photos / file).unlink()
    options = Options("none")
    export_masks(model, "coco", photos, tmp_path / "coco", options=options)
    assert sorted(in_coco(tmp_path / "coco")) == sorted(files)
    export_masks(model, "labelstudio", photos, tmp_path / "out", options=options)
    assert sorted(listed(tmp_path / "out", "labelstudio")) == sorted(files)
    with pytest.raises(DataError, match="--format cvat cannot carry 2 of them"):
        export_masks(model, "cvat", photos, tmp_path / "cvat", options=options)
    assert not (tmp_path / "cvat").exists()


def test_small_regions_of_masks(model: Segmenter, photos: Path, tmp_path: Path) -> None:
    export_masks(model, "png", photos / "plain.png", tmp_path / "out", min_region=60)
    with Image.open(tmp_path / "out" / "plain.png") as image:
        expected = fill_small_regions(model.predict(photos / "plain.png"), 60)
        assert np.array_equal(np.asarray(image), expected)

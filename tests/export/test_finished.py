"""Exports that were stopped: the next call goes on with their masks."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from picie.data.folder import PhotoFolder
from picie.data.own_outputs import EXPORT_MARK
from picie.data.synthetic.scenes import draw_scene
from picie.errors import DataError
from picie.export.formats.coco import CocoWriter
from picie.export.formats.layout import Labelled
from picie.export.masks import export_masks
from picie.inference.predict_each import Then
from picie.inference.segmenter import Prediction, Segmenter
from picie.models.class_names import ClassNames, NamedClass
from picie.runtime.progress import Reporter

NAMES = ["a.png", "b.jpg", "c.png", "d.jpg"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for index, name in enumerate(NAMES):
        Image.fromarray(draw_scene(1, index, (48 + index, 64))[0]).save(folder / name)
    return folder


@pytest.fixture
def named(model: Segmenter) -> Segmenter:
    """One class is ignored, so that masks have void pixels."""
    classes = (NamedClass("meadow", (2,)), NamedClass("none", (0,), ignore=True))
    return model.named(ClassNames(3, classes))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images that the network has seen."""
    names: list[str] = []
    predict = Segmenter.predict_folder

    def spy(self: Segmenter, source: PhotoFolder, **options: Any) -> Iterator[Prediction]:
        for one in predict(self, source, **options):
            names.append(one.name)
            yield one

    monkeypatch.setattr(Segmenter, "predict_folder", spy)
    return names


def stopped(model: Segmenter, photos: Path | str, out: Path, at: str, **options: Any) -> None:
    """Export, but stop at an image."""
    add = CocoWriter.add

    def stop(self: CocoWriter, image: Labelled) -> Then:
        if image.name == at:
            raise KeyboardInterrupt
        return add(self, image)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CocoWriter, "add", stop)
        with pytest.raises(KeyboardInterrupt):
            export_masks(model, "coco", photos, out, workers=0, **options)


def contents(folder: Path) -> dict[str, bytes]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {
        name: path.read_bytes()
        for name, path in files.items()
        if path.is_file() and name != EXPORT_MARK
    }


def test_the_next_call_goes_on_to_the_same_files(
    named: Segmenter,
    photos: Path,
    tmp_path: Path,
    seen: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    whole, out = tmp_path / "whole" / "out", tmp_path / "stopped" / "out"
    export_masks(named, "coco", photos, whole, min_region=30)
    stopped(named, photos, out, "c", min_region=30, batch_size=1)
    assert not out.exists()
    seen.clear()
    export_masks(named, "coco", photos, out, min_region=30, workers=2, reporter=Reporter())
    assert seen == ["d"]
    assert "going on with 3 masks of a stopped export" in capsys.readouterr().err
    assert contents(out) == contents(whole)
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_another_format_needs_the_same_masks(
    named: Segmenter, photos: Path, tmp_path: Path, seen: list[str]
) -> None:
    stopped(named, photos, tmp_path / "out", "c")
    seen.clear()
    export_masks(named, "png", photos, tmp_path / "out")
    assert seen == ["d"]


def test_masks_of_other_settings_and_photos_are_made_again(
    model: Segmenter, named: Segmenter, photos: Path, tmp_path: Path, seen: list[str]
) -> None:
    out = tmp_path / "out"
    stopped(named, photos, out, "c")
    Image.fromarray(draw_scene(2, 9, (48, 64))[0]).save(photos / "a.png")
    seen.clear()
    stopped(named, photos, out, "d")
    assert seen == ["a", "d"]
    seen.clear()
    export_masks(model, "coco", photos, out)
    assert seen == ["a", "b", "c", "d"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "photos"]


def test_a_damaged_mask_is_made_again(
    named: Segmenter, photos: Path, tmp_path: Path, seen: list[str]
) -> None:
    stopped(named, photos, tmp_path / "out", "c")
    [mask] = tmp_path.glob(".part-*/b.png")
    mask.write_bytes(mask.read_bytes()[:-9])
    seen.clear()
    export_masks(named, "coco", photos, tmp_path / "out")
    assert seen == ["b", "d"]


def test_unreadable_photos_are_named_each_time(
    named: Segmenter, photos: Path, tmp_path: Path
) -> None:
    (photos / "e.jpg").write_text("no image")
    stopped(named, photos, tmp_path / "out", "d")
    for name in NAMES[1:]:
        (photos / name).write_text("no image any more")
    assert export_masks(named, "coco", photos, tmp_path / "out") == 1
    (photos / "a.png").write_text("no image any more")
    with pytest.raises(DataError, match="none of the 5 images could be read"):
        export_masks(named, "coco", photos, tmp_path / "out", overwrite=True)


@pytest.mark.parametrize("format", ["geotiff", "geopackage"])
def test_finished_rasters_are_taken(
    model: Segmenter, tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rasterio = pytest.importorskip("rasterio")
    pytest.importorskip("pyogrio")
    for number, name in enumerate(("a", "sub/b", "c")):
        path = tmp_path / "in" / f"{name}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        bands = draw_scene(1, number, (64, 64))[0].transpose(2, 0, 1)
        grid = rasterio.Affine(1, 0, 500_000 + number, 0, -1, 5_500_000)
        with rasterio.open(path, "w", "GTiff", 64, 64, 3, "EPSG:25832", grid, "uint8") as file:
            file.write(bands)
    seen: list[str] = []
    segment = Segmenter.logits

    def spy(self: Segmenter, *args: Any, **options: Any) -> Any:
        if stops and len(seen) == 2:
            raise KeyboardInterrupt
        seen.append("")
        return segment(self, *args, **options)

    monkeypatch.setattr(Segmenter, "logits", spy)
    out, stops = tmp_path / "out", True
    with pytest.raises(KeyboardInterrupt):
        export_masks(model, format, tmp_path / "in", out)
    assert not out.exists()
    stops = False
    seen.clear()
    assert export_masks(model, format, tmp_path / "in", out) == 3
    assert len(seen) == 1
    extension = "tif" if format == "geotiff" else "gpkg"
    names = {path.relative_to(out).as_posix() for path in out.rglob(f"*.{extension}")}
    assert names == {f"{name}.{extension}" for name in ("a", "sub/b", "c")}
    assert not list(tmp_path.glob(".*"))
    seen.clear()
    export_masks(model, format, tmp_path / "in", out, overwrite=True)
    assert len(seen) == 3


def test_photos_in_a_storage_are_gone_on_with(
    named: Segmenter, photos: Path, tmp_path: Path, seen: list[str], stored: Callable[..., str]
) -> None:
    source, out = stored(photos), tmp_path / "out"
    export_masks(named, "coco", source, tmp_path / "whole" / "out")
    stopped(named, source, out, "c")
    seen.clear()
    export_masks(named, "coco", source, out)
    assert seen == ["d"]
    assert contents(out) == contents(tmp_path / "whole" / "out")

"""`picie predict`: the files that it writes, and those that it does not touch."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from picie.cli.app import main
from picie.data.folder import PhotoFolder, open_folder
from picie.data.own_outputs import MASKS_MANIFEST
from picie.data.synthetic.scenes import draw_scene
from picie.inference.predict_folder import predict_folder
from picie.inference.segmenter import Segmenter, load
from picie.runtime.progress import Advance, Reporter
from picie.visualization.labelled import labelled_overlay
from picie.visualization.masks import overlay

Failure = Callable[..., tuple[int, str]]
NAMES = ["a b", "sub folder/deeper/ä ö", "sub folder/日本"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for index, name in enumerate(NAMES):
        path = tmp_path / "my photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_scene(1, index, (48 + index, 64))[0]).save(path)
    return tmp_path / "my photos"


def files(folder: Path) -> list[str]:
    """All but the list of masks."""
    paths = [path.relative_to(folder).as_posix() for path in folder.rglob("*.*")]
    return sorted(path for path in paths if path != MASKS_MANIFEST)


def read(path: Path) -> tuple[NDArray[np.uint8], Image.Image]:
    image = Image.open(path)
    return np.asarray(image), image


def predict(*args: object) -> None:
    main(["predict", *(str(arg) for arg in args), "--quiet"])


def test_masks_hold_the_clusters_under_the_names_of_the_photos(
    runs: dict[str, Path], model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "masks"
    predict(runs["default"], photos, "--out", out, "--batch-size", 2)
    assert files(out) == sorted(f"{name}.png" for name in NAMES)
    for name in NAMES:
        ids, image = read(out / f"{name}.png")
        assert image.mode == "P"
        assert image.getpalette("RGB")[:9] == model.colours.ravel().tolist()  # type: ignore[index]
        assert np.array_equal(ids, model.predict(photos / f"{name}.png"))


def test_confidence_lies_beside_the_masks(
    runs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    predict(runs["default"], photos, "--out", tmp_path / "masks", "--confidence")
    expected = [f"{name}.png" for name in NAMES] + [f"confidence/{name}.png" for name in NAMES]
    assert files(tmp_path / "masks") == sorted(expected)


def test_overlays_lie_beside_the_masks(
    runs: dict[str, Path], model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "masks"
    predict(runs["default"], photos, "--out", out, "--overlay", "--plain-overlay")
    folders = ("", "overlays/", "plain_overlays/")
    assert files(out) == sorted(f"{folder}{name}.png" for folder in folders for name in NAMES)
    photo, _ = read(photos / "a b.png")
    mask = model.predict(photo)
    plain, _ = read(out / "plain_overlays" / "a b.png")
    assert np.array_equal(plain, overlay(photo, mask, model.colours))
    labelled, _ = read(out / "overlays" / "a b.png")
    shown = labelled_overlay(photo, mask, model.colours, [""] * 3)
    assert np.array_equal(labelled, np.asarray(shown))
    assert len(open_folder(out.parent).photos) == len(NAMES)  # none of them is a photo


def test_each_kind_of_overlay_is_added_to_finished_masks(
    runs: dict[str, Path], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "masks"
    predict(runs["default"], photos, "--out", out, "--overlay")
    before = (out / "overlays" / "a b.png").read_bytes()
    predict(runs["default"], photos, "--out", out, "--plain-overlay")
    assert (out / "overlays" / "a b.png").read_bytes() == before
    assert (out / "plain_overlays" / "a b.png").read_bytes() != before
    main(["predict", *map(str, [runs["default"], photos, "--out", out, "--plain-overlay"])])
    assert "kept 3 masks" in capsys.readouterr().err


def test_overlays_show_the_names_of_classes(
    runs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(runs["default"], tmp_path / "run")
    main(["name", str(run), "--set", "0=sky"])
    predict(run, photos, "--out", tmp_path / "masks", "--overlay")
    named = load(run)
    assert named.names == ("sky", "cluster 1", "cluster 2")
    photo, _ = read(photos / "a b.png")
    shown = labelled_overlay(photo, named.predict(photo), named.colours, ["sky", "", ""])
    found, _ = read(tmp_path / "masks" / "overlays" / "a b.png")
    assert np.array_equal(found, np.asarray(shown))


def test_fast_turns_refinement_and_scales_off(
    failure: Failure, runs: dict[str, Path], model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    predict(runs["default"], photos, "--out", tmp_path / "fast", "--fast")
    plain = model.post_processed(scales=(1,), refine=0)
    name = NAMES[1]
    assert np.array_equal(
        read(tmp_path / "fast" / f"{name}.png")[0], plain.predict(photos / f"{name}.png")
    )
    images = ("--images", photos, "--out", tmp_path / "export", "--fast", "--quiet")
    main(["export", *map(str, (runs["default"], "--format", "png", *images))])
    exported = next((tmp_path / "export").rglob(f"{Path(name).name}.png"))
    assert np.array_equal(read(exported)[0], read(tmp_path / "fast" / f"{name}.png")[0])
    for flag, value in (("--refine", 5), ("--scales", 1)):
        args = (runs["default"], photos, "--out", tmp_path / "masks", "--fast", flag, value)
        code, text = failure("predict", *args)
        assert code == 2
        assert f"--fast and {flag} contradict each other" in text


def test_a_single_photo(
    runs: dict[str, Path], model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    predict(runs["default"], photos / "a b.png", "--out", tmp_path / "masks")
    assert files(tmp_path / "masks") == ["a b.png"]
    assert np.array_equal(read(tmp_path / "masks/a b.png")[0], model.predict(photos / "a b.png"))


def test_a_split(runs: dict[str, Path], scenes: Path, tmp_path: Path) -> None:
    predict(runs["default"], scenes, "--out", tmp_path / "masks", "--split", "val")
    assert files(tmp_path / "masks") == [f"scene_{index:04d}.png" for index in (6, 7, 8)]


def test_mistyped_photos_are_told_before_the_model_is_loaded(
    failure: Failure,
    runs: dict[str, Path],
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("picie.cli.predict.load", None)
    typed = photos.with_name(f"{photos.name}z")
    code, text = failure("predict", runs["default"], typed, "--out", tmp_path / "masks")
    assert (code, (tmp_path / "masks").exists()) == (1, False)
    assert f"{typed}: does not exist; did you mean {photos}?" in text


def test_masks_of_another_model_are_replaced_only_if_asked(
    failure: Failure, runs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    args = (runs["default"], photos, "--out", tmp_path / "masks")
    predict(*args)
    code, text = failure("predict", *args, "--size", 64)
    assert code == 2
    assert f"{NAMES[0]}.png (and 2 more like it): was made by another model or with other " in text
    assert "settings, names or colours" in text
    assert "pass --overwrite to replace it" in text
    masks = [tmp_path / "masks" / f"{name}.png" for name in NAMES]
    before = [mask.read_bytes() for mask in masks]
    predict(*args, "--clusters", 8, "--overwrite")
    assert [mask.read_bytes() for mask in masks] != before


@pytest.mark.parametrize("flags", [[], ["--overwrite"]])
def test_files_of_others_are_never_replaced(
    failure: Failure, runs: dict[str, Path], photos: Path, tmp_path: Path, flags: list[str]
) -> None:
    taken = tmp_path / "masks" / f"{NAMES[1]}.png"
    taken.parent.mkdir(parents=True)
    taken.write_text("mine")
    code, text = failure("predict", runs["default"], photos, "--out", tmp_path / "masks", *flags)
    assert code == 2
    assert f"{taken}: already exists and was not written by picie, or was changed since" in text
    assert "--overwrite" not in text
    assert files(tmp_path / "masks") == [f"{NAMES[1]}.png"]
    assert taken.read_text() == "mine"


@pytest.mark.parametrize("flags", [[], ["--overwrite"]])
def test_photos_are_never_replaced(
    failure: Failure, runs: dict[str, Path], photos: Path, flags: list[str]
) -> None:
    before = {path: (photos / path).read_bytes() for path in files(photos)}
    for source in (photos, photos / f"{NAMES[0]}.png"):
        code, text = failure("predict", runs["default"], source, "--out", photos, *flags)
        assert code == 2
        assert "is a file that this command reads" in text
        assert "--overwrite" not in text
    assert {path: (photos / path).read_bytes() for path in files(photos)} == before


def test_the_same_command_goes_on(
    runs: dict[str, Path], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "masks"
    args = ["predict", str(runs["default"]), str(photos), "--out", str(out)]
    main(args)
    before = {name: (out / name).read_bytes() for name in files(out)}
    (out / f"{NAMES[2]}.png").unlink()
    main(args)
    assert f"kept 2 masks of an earlier run, wrote 1: {out}" in capsys.readouterr().err
    assert {name: (out / name).read_bytes() for name in files(out)} == before


def test_shards_and_the_call_that_merges_them(
    runs: dict[str, Path], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "masks"
    args = ["predict", str(runs["default"]), str(photos)]
    main([*args, "--out", str(whole)])
    for number in (1, 2, 3):
        main([*args, "--out", str(out), "--shard", f"{number}/3"])
        assert f"of shard {number}/3 in {out}" in capsys.readouterr().err
    main([*args, "--out", str(out)])
    assert f"kept 3 masks of an earlier run, wrote 0: {out}" in capsys.readouterr().err
    assert files(out) == files(whole)
    pngs = [name for name in files(whole) if name.endswith(".png")]
    assert all((out / name).read_bytes() == (whole / name).read_bytes() for name in pngs)


def test_unreadable_photos_are_named_and_counted(
    runs: dict[str, Path], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "b.jpg").write_text("no image")
    main(["predict", str(runs["default"]), str(photos), "--out", str(tmp_path / "masks")])
    text = capsys.readouterr().err
    assert text.count("b.jpg: cannot be read as an image") == 1
    assert "3 masks in" in text
    assert "skipped 1 unreadable image" in text
    assert files(tmp_path / "masks") == sorted(f"{name}.png" for name in NAMES)


def test_nothing_readable_is_an_error(
    failure: Failure, runs: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    args = ("predict", runs["default"], tmp_path / "text.jpg", "--out", tmp_path / "masks")
    code, text = failure(*args)
    assert code == 1
    assert text.startswith(f"picie: error: {tmp_path / 'text.jpg'}: cannot be read as an image (")
    assert text.count("\n") == 1  # said once
    args = ("predict", runs["default"], tmp_path, "--out", tmp_path / "masks")
    code, text = failure(*args, "--quiet")
    assert code == 1
    assert "none of the 1 images could be read; first: " in text
    assert "text.jpg: cannot be read as an image" in text


def test_the_name_of_a_file_is_no_folder_of_masks(
    failure: Failure, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "mask.png"
    (tmp_path / "run").mkdir()  # nothing in it is read before
    code, text = failure("predict", tmp_path / "run", photos / "a b.png", "--out", out)
    assert code == 2
    assert f"{out}: is the name of an image, but masks go into a folder" in text
    assert not out.exists()


def test_options_of_the_model_reach_it(
    runs: dict[str, Path], model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "masks"
    options = {"--size": 160, "--tile": 128, "--workers": 0, "--precision": "fp32"}
    predict(runs["default"], photos, "--out", out, *sum(options.items(), ()))
    different = 0
    for name in NAMES:
        ids, photo = read(out / f"{name}.png")[0], photos / f"{name}.png"
        assert np.array_equal(ids, model.predict(photo, size=160, tile=128))
        different += not np.array_equal(ids, model.predict(photo))
    assert different


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_files_do_not_depend_on_the_workers(
    runs: dict[str, Path], model: Segmenter, photos: Path, tmp_path: Path, workers: int
) -> None:
    out = tmp_path / "masks"
    predict(runs["default"], photos, "--out", out, "--workers", workers)
    for name in NAMES:
        expected = model.predict(photos / f"{name}.png")
        assert np.array_equal(read(out / f"{name}.png")[0], expected)


def test_a_folder_is_listed_once(
    runs: dict[str, Path], photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[object] = []

    def spy(*args: Any, **options: Any) -> PhotoFolder:
        listed.append(args)
        return open_folder(*args, **options)

    monkeypatch.setattr("picie.inference.predict_folder.open_folder", spy)
    monkeypatch.setattr("picie.inference.segmenter.open_folder", spy)
    predict(runs["default"], photos, "--out", tmp_path / "masks")
    assert len(listed) == 1


def test_the_rate_is_shown(
    model: Segmenter, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(100.0, 0.5)
    monkeypatch.setattr(
        "picie.inference.predict_each.time", SimpleNamespace(monotonic=lambda: next(clock))
    )
    notes: list[str] = []

    class Listener(Reporter):
        @contextmanager
        def task(self, label: str, total: int, *, finished: int = 0) -> Iterator[Advance]:
            assert (label, total, finished) == ("masks", 3, 0)

            def advance(done: int, note: Callable[[], str] | None = None) -> None:
                assert note is not None
                notes.append(note())

            yield advance

    predict_folder(model, photos, tmp_path / "masks", reporter=Listener(quiet=True))
    assert notes == ["2.0 images/s"] * 3


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--workers", -2, "--workers -2: give a whole number from -1 to 1024"),
        ("--size", 100, "--size 100: give a multiple of 32 from 32 to 8192"),
        ("--tile", 64, "tile 64: give a multiple of 32 from 128, or 0 for no tiles"),
    ],
)
def test_options_that_cannot_be(
    failure: Failure,
    runs: dict[str, Path],
    photos: Path,
    tmp_path: Path,
    flag: str,
    value: int,
    message: str,
) -> None:
    out = tmp_path / "masks"
    code, text = failure("predict", runs["default"], photos, "--out", out, f"{flag}={value}")
    assert code == 2
    assert message in text
    assert not out.exists()


@pytest.mark.parametrize("size", [0, -3])
def test_batches_of_no_photo(
    failure: Failure, runs: dict[str, Path], photos: Path, tmp_path: Path, size: int
) -> None:
    args = ("predict", runs["default"], photos, "--out", tmp_path / "masks", "--batch-size", size)
    assert failure(*args) == (2, failure(*args)[1])
    assert f"--batch-size {size}: give 1 to 65536" in failure(*args)[1]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_out_that_is_a_file(
    failure: Failure, runs: dict[str, Path], photos: Path, tmp_path: Path, workers: int
) -> None:
    (tmp_path / "masks").write_text("mine")
    args = ("predict", runs["default"], photos, "--out", tmp_path / "masks", "--quiet")
    code, text = failure(*args, "--workers", workers)
    assert code == 2
    assert "masks: is not a folder; choose another --out" in text


def test_masks_with_another_number_of_clusters(
    runs: dict[str, Path], scenes: Path, tmp_path: Path, failure: Callable[..., tuple[int, str]]
) -> None:
    run = str(runs["default"])
    main(["predict", run, str(scenes), f"--out={tmp_path}", "--clusters=5", "--quiet"])
    ids = {
        value
        for path in tmp_path.glob("*.png")
        for value in np.unique(np.array(Image.open(path))).tolist()
    }
    assert max(ids) > 2
    assert ids <= set(range(5))
    code, text = failure("predict", run, scenes, "--out", tmp_path / "b", "--clusters", "99")
    assert code == 2
    assert "can be cut into 2 to 8 clusters" in text


# --- deep, many-band and many-page images


def test_deep_images_are_said_and_read_like_plain_ones(
    runs: dict[str, Path], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = tmp_path / "deep"
    for path in photos.rglob("*.png"):
        copy = deep / path.relative_to(photos)
        copy.parent.mkdir(parents=True, exist_ok=True)
        values = np.asarray(Image.open(path)).astype(np.uint16) * 257 // 16
        copy.write_bytes(imagecodecs.png_encode(values))
    for folder in (photos, deep):
        out = tmp_path / folder.name / "m"
        main(["predict", str(runs["default"]), str(folder), "--out", str(out)])
    assert "12-bit images: values 0 to 4095 become 0 to 255 (--stretch" in capsys.readouterr().err
    for name in NAMES:
        plain, other = (tmp_path / folder.name / "m" / f"{name}.png" for folder in (photos, deep))
        assert (read(plain)[0] == read(other)[0]).mean() > 0.99


def test_bands_pages_and_limits_are_flags(
    runs: dict[str, Path], tmp_path: Path, failure: Failure
) -> None:
    bands = np.dstack([draw_scene(1, 1, (48, 64))[0], draw_scene(1, 2, (48, 64))[0]])
    path, run = tmp_path / "photos" / "a.tif", runs["default"]
    path.parent.mkdir()
    with tifffile.TiffWriter(path) as writer:
        for page in (bands, bands[::-1]):
            writer.write(page, photometric="rgb", contiguous=False, metadata=None)
    for number, flag in enumerate(("--bands 4,5,6", "--bands=4,5,6", "--bands 4 5 6")):
        out = tmp_path / f"out {number}"
        predict(run, path.parent, *flag.split(), "--pages", "all", "--out", out)
        assert files(out) == ["a_p001.png", "a_p002.png"]
        expected = load(run).predict(bands[..., 3:])
        assert np.array_equal(read(out / "a_p001.png")[0], expected)
    for flags, code, message in (
        (["--bands", "7,5,6"], 1, "a.tif: has 6 bands, but --bands asks for 7; choose others"),
        (["--bands", "1", "2"], 2, "give three bands (red, green, blue) or one, counted from 1"),
        (["--bands", "0"], 2, "give three bands"),
        (["--stretch", "9", "2"], 2, "give the value that becomes black, then a larger one"),
        (["--max-pixels", "3071"], 1, "has 64 x 48 pixels, more than 3,071; raise --max-pixels"),
    ):
        args = ["predict", str(run), str(path.parent), "--out", str(tmp_path / "no"), "--quiet"]
        args += flags
        found, text = failure(*args)
        assert found == code
        assert message in text


def test_a_stretch_may_be_negative(runs: dict[str, Path], tmp_path: Path) -> None:
    scene = draw_scene(1, 1, (48, 64))[0]
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, (scene[..., 0] / 255 * 20 - 25).astype(np.float32))
    predict(runs["default"], path, "--stretch", "-25", "-5", "--out", tmp_path / "out")
    expected = load(runs["default"]).predict(scene[..., 0])
    assert (read(tmp_path / "out" / "a.png")[0] == expected).mean() > 0.99

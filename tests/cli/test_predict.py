"""`picie predict`: the files that it writes, and those that it does not touch."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from picie.cli.app import main
from picie.data.folder import PhotoFolder, open_folder
from picie.data.synthetic.scenes import draw_scene
from picie.inference.predict_folder import predict_folder
from picie.inference.segmenter import Segmenter
from picie.runtime.progress import Advance, Reporter
from picie.visualization.masks import overlay
from picie.visualization.palette import palette

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
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


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
        assert image.getpalette("RGB")[:9] == palette(3).ravel().tolist()  # type: ignore[index]
        assert np.array_equal(ids, model.predict(photos / f"{name}.png"))


def test_overlays_lie_beside_the_masks(
    runs: dict[str, Path], model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "masks"
    predict(runs["default"], photos, "--out", out, "--overlay")
    expected = [f"{name}.png" for name in NAMES] + [f"overlays/{name}.png" for name in NAMES]
    assert files(out) == sorted(expected)
    photo, _ = read(photos / "a b.png")
    blended, _ = read(out / "overlays" / "a b.png")
    assert np.array_equal(blended, overlay(photo, model.predict(photo), palette(3)))


def test_a_single_photo(
    runs: dict[str, Path], model: Segmenter, photos: Path, tmp_path: Path
) -> None:
    predict(runs["default"], photos / "a b.png", "--out", tmp_path / "masks")
    assert files(tmp_path / "masks") == ["a b.png"]
    assert np.array_equal(read(tmp_path / "masks/a b.png")[0], model.predict(photos / "a b.png"))


def test_a_split(runs: dict[str, Path], scenes: Path, tmp_path: Path) -> None:
    predict(runs["default"], scenes, "--out", tmp_path / "masks", "--split", "val")
    assert files(tmp_path / "masks") == [f"scene_{index:04d}.png" for index in (6, 7, 8)]


def test_masks_are_replaced_only_if_asked(
    failure: Failure, runs: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    taken = tmp_path / "masks" / f"{NAMES[1]}.png"
    taken.parent.mkdir(parents=True)
    taken.write_text("mine")
    args = (runs["default"], photos, "--out", tmp_path / "masks")
    code, text = failure("predict", *args)
    assert code == 2
    assert f"{taken} already exists (and 0 more); choose another --out, or pass --over" in text
    assert files(tmp_path / "masks") == [f"{NAMES[1]}.png"]
    assert taken.read_text() == "mine"
    predict(*args, "--overwrite")
    assert len(files(tmp_path / "masks")) == 3
    assert read(taken)[1].mode == "P"


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
    code, text = failure(*args, "--quiet")
    assert code == 1
    assert "none of the 1 images could be read; first: " in text
    assert "text.jpg: cannot be read as an image" in text


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

    def spy(*args: object) -> PhotoFolder:
        listed.append(args)
        return open_folder(*args)  # type: ignore[arg-type]

    monkeypatch.setattr("picie.inference.predict_folder.open_folder", spy)
    monkeypatch.setattr("picie.inference.segmenter.open_folder", spy)
    predict(runs["default"], photos, "--out", tmp_path / "masks")
    assert len(listed) == 1


def test_the_rate_is_shown(
    model: Segmenter, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(100.0, 0.5)
    monkeypatch.setattr("picie.inference.predict_folder.time.monotonic", lambda: next(clock))
    notes: list[str] = []

    class Listener(Reporter):
        @contextmanager
        def task(self, label: str, total: int) -> Iterator[Advance]:
            assert (label, total) == ("masks", 3)

            def advance(done: int, note: Callable[[], str] | None = None) -> None:
                assert note is not None
                notes.append(note())

            yield advance

    predict_folder(model, photos, tmp_path / "masks", reporter=Listener(quiet=True))
    assert notes == ["2.0 images/s"] * 3


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--workers", -2, "--workers -2: give 0 or more, or -1"),
        ("--size", 100, "size 100: the side must be a multiple of 32"),
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
    assert f"--batch-size {size}: give 1 or more" in failure(*args)[1]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_out_that_is_a_file(
    failure: Failure, runs: dict[str, Path], photos: Path, tmp_path: Path, workers: int
) -> None:
    (tmp_path / "masks").write_text("mine")
    args = ("predict", runs["default"], photos, "--out", tmp_path / "masks", "--quiet")
    code, text = failure(*args, "--workers", workers)
    assert code == 1
    assert "masks: cannot be created" in text
    assert "choose another --out" in text


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

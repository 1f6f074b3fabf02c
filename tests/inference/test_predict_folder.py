"""Predictions handed to threads: in which order, and what happens to errors."""

import threading
from pathlib import Path

import pytest

from picie.data.folder import open_folder
from picie.errors import DataError
from picie.inference.predict_folder import FolderMasks, Then, predict_each, predict_folder
from picie.inference.segmenter import Prediction, Segmenter
from picie.runtime.progress import Reporter

QUIET = Reporter(quiet=True)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_the_second_part_comes_in_the_order_of_the_images(
    model: Segmenter, scenes: Path, workers: int
) -> None:
    folder = open_folder(scenes)
    names: list[str] = []
    threads: set[int] = set()

    def work(one: Prediction) -> Then:
        assert one.mask is not None
        threads.add(threading.get_ident())

        def then() -> None:
            assert threading.current_thread() is threading.main_thread()
            names.append(one.name)

        return then

    assert predict_each(model, folder, work, workers=workers, reporter=QUIET) == ()
    assert names == [photo.name for photo in folder.photos]
    assert (threading.get_ident() in threads) == (workers == 0)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("later", [False, True])
def test_errors_come_out(model: Segmenter, scenes: Path, workers: int, later: bool) -> None:
    def fail() -> None:
        raise KeyError("mine")

    def work(one: Prediction) -> Then:
        if not later:
            fail()
        return fail

    with pytest.raises(KeyError, match="mine"):
        predict_each(model, open_folder(scenes), work, workers=workers, reporter=QUIET)


def test_unreadable_images_do_not_count(
    model: Segmenter, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b.jpg").write_text("no image")
    done: list[str] = []

    def work(one: Prediction) -> None:
        done.append(one.name)

    with pytest.raises(DataError, match=r"none of the 1 images could be read; first: .*b\.jpg: "):
        predict_each(model, open_folder(tmp_path), work, workers=0, reporter=QUIET)
    photo = scenes / "images" / "scene_0000.jpg"
    (tmp_path / "a.jpg").write_bytes(photo.read_bytes())
    reporter = Reporter()
    (problem,) = predict_each(model, open_folder(tmp_path), work, workers=0, reporter=reporter)
    assert "b.jpg: cannot be read" in problem
    assert done == ["a"]
    assert capsys.readouterr().err.count("b.jpg: cannot be read as an image") == 1


def test_a_folder_is_written_by_one_call(
    runs: dict[str, Path], scenes: Path, tmp_path: Path
) -> None:
    done = predict_folder(runs["default"], scenes, tmp_path / "masks", split="val", overlays=True)
    assert done == FolderMasks(tmp_path / "masks", 3, ())
    names = [photo.name for photo in open_folder(scenes, "val").photos]
    assert sorted(p.stem for p in (tmp_path / "masks").glob("*.png")) == names
    assert sorted(p.stem for p in (tmp_path / "masks/overlays").glob("*.png")) == names

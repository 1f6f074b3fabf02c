"""Predictions handed to threads."""

import threading
from pathlib import Path

import numpy as np
import pytest

from picie.data.folder import open_folder
from picie.inference.predict_each import Then, predict_each
from picie.inference.segmenter import Prediction, Segmenter


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

    done: list[str] = []

    def ended(name: str, problem: str) -> None:
        assert names[-1] == name
        assert problem == ""
        done.append(name)

    predict_each(model, folder, work, ended, workers=workers)
    assert done == names == [photo.name for photo in folder.photos]
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
        predict_each(model, open_folder(scenes), work, lambda *_: None, workers=workers)


def test_unreadable_images_come_without_a_mask(
    model: Segmenter, scenes: Path, tmp_path: Path
) -> None:
    (tmp_path / "b.jpg").write_text("no image")
    photo = scenes / "images" / "scene_0000.jpg"
    (tmp_path / "a.jpg").write_bytes(photo.read_bytes())
    masks: dict[str, bool] = {}
    done: dict[str, str] = {}

    def work(one: Prediction) -> None:
        masks[one.name] = one.mask is not None

    predict_each(model, open_folder(tmp_path), work, done.__setitem__, workers=0)
    assert masks == {"a": True, "b": False}
    assert done["a"] == ""
    assert "b.jpg: cannot be read" in done["b"]


def test_pixels_of_small_regions_have_the_rest_of_the_confidence(
    model: Segmenter, scenes: Path
) -> None:
    folder, model = open_folder(scenes, "val"), model.cut(8)  # more clusters, smaller regions
    before = {one.name: one for one in model.predict_folder(folder, confidence=True)}
    after: dict[str, Prediction] = {}

    def work(one: Prediction) -> None:
        after[one.name] = one

    done: list[str] = []
    predict_each(
        model, folder, work, lambda name, _: done.append(name), min_region=200, confidence=True
    )
    assert done == list(before)
    changed = 0
    for name, one in after.items():
        mask, certain = before[name].mask, before[name].confidence
        assert mask is not None
        assert certain is not None
        assert one.confidence is not None
        assert one.mask is not None
        same = np.equal(one.mask, mask)
        changed += int((~same).sum())
        assert np.array_equal(one.confidence[same], certain[same])
        rest = np.minimum(certain, 255 - certain)
        assert np.array_equal(one.confidence[~same], rest[~same])
    assert changed

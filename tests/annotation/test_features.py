"""Features on disk: computed once, and never taken for those of another network or image."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from picie.annotation.features import FeatureCache, network_digest
from picie.data.folder import PhotoFolder, open_folder
from picie.inference.segmenter import Segmenter


@pytest.fixture
def photos(scenes: Path, tmp_path: Path) -> PhotoFolder:
    shutil.copytree(scenes / "images", tmp_path / "photos")
    return open_folder(tmp_path / "photos")


def test_kept_features_are_those_that_were_computed(
    model: Segmenter, photos: PhotoFolder, tmp_path: Path
) -> None:
    cache = FeatureCache(model, tmp_path / "kept")
    first = [features for _, features, _ in cache.each(photos)]
    assert len(list((tmp_path / "kept").iterdir())) == len(photos)
    second = [features for _, features, _ in cache.each(photos)]
    for one, other in zip(first, second, strict=True):
        assert one is not None
        assert other is not None
        assert one.dtype == np.float16
        assert np.array_equal(one, other)


def test_without_a_folder_nothing_is_written(
    model: Segmenter, photos: PhotoFolder, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert all(features is not None for _, features, _ in FeatureCache(model, None).each(photos))
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unreadable_image_has_a_problem_and_the_others_features(
    model: Segmenter, photos: PhotoFolder, tmp_path: Path
) -> None:
    photos.photos[2].path.write_bytes(b"not an image")
    found = list(FeatureCache(model, tmp_path / "kept").each(photos))
    assert [features is None for _, features, _ in found].count(True) == 1
    assert photos.photos[2].path.name in found[2][2]


def test_a_changed_image_gets_new_features(
    model: Segmenter, photos: PhotoFolder, tmp_path: Path
) -> None:
    cache = FeatureCache(model, tmp_path / "kept")
    before = [features for _, features, _ in cache.each(photos)]
    shutil.copy(photos.photos[1].path, photos.photos[0].path)
    after = [features for _, features, _ in cache.each(photos)]
    assert after[0] is not None
    assert before[0] is not None
    assert before[1] is not None
    assert np.array_equal(after[0], before[1])
    assert not np.array_equal(after[0], before[0])


def test_the_digest_is_that_of_the_network_and_not_of_its_names(model: Segmenter) -> None:
    assert network_digest(model) == network_digest(model.cut(3)) == network_digest(model)
    assert network_digest(model) != network_digest(model.at_size(model.config.size + 32))

"""Labelled images as they are scored, and the counts of one pass."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from picie.data.folder import open_folder
from picie.data.images import square_crop, square_crop_mask
from picie.errors import DataError
from picie.evaluation.labelled import Crop, LabelledImages, check_masks, count_pixels
from picie.inference.segmenter import Segmenter
from picie.metrics.confusion import Confusion
from picie.runtime.progress import Reporter

QUIET = Reporter(quiet=True)


def images_of(scenes: Path, crop: Crop = "center", split: str = "val") -> LabelledImages:
    return LabelledImages(open_folder(scenes, split, labelled=True), 32, crop)


@pytest.fixture
def broken(scenes: Path, tmp_path: Path) -> Path:
    """A copy of the scenes in which the second val image cannot be read."""
    root = shutil.copytree(scenes, tmp_path / "scenes")
    names = (root / "val.txt").read_text().split()
    (root / "images" / f"{names[1]}.jpg").write_text("no image")
    return root


def test_centre_crops_come_together_and_whole_images_alone(scenes: Path) -> None:
    [crops] = images_of(scenes).batches("reading", QUIET)
    assert [one.index for one in crops] == [0, 1, 2]
    assert {(one.image.shape, one.truth.shape) for one in crops} == {((32, 32, 3), (32, 32))}
    whole = list(images_of(scenes, "none").batches("reading", QUIET))
    assert [[one.index for one in batch] for batch in whole] == [[0], [1], [2]]
    for one, [full] in zip(crops, whole, strict=True):
        assert full.image.shape == (48, 64, 3)
        np.testing.assert_array_equal(one.image, square_crop(full.image, 32))
        np.testing.assert_array_equal(one.truth, square_crop_mask(full.truth, 32))


def test_what_the_network_sees(scenes: Path) -> None:
    labelled = images_of(scenes)
    [batch] = labelled.batches("reading", QUIET)
    images = labelled.for_network(batch)
    assert (images.shape, images.dtype) == ((3, 3, 32, 32), torch.float32)
    np.testing.assert_allclose(images[1].permute(1, 2, 0).numpy() * 255, batch[1].image, atol=1e-4)
    whole = images_of(scenes, "none")
    shapes = {whole.for_network(one).shape for one in whole.batches("reading", QUIET)}
    assert shapes == {
        (1, 3, 32, 32)
    }  # 48 x 64 at a short side of 32: 43 columns, 32 in whole cells


@pytest.mark.parametrize("crop", ["center", "none"])
def test_unreadable_images_leave_the_positions_of_others_alone(broken: Path, crop: Crop) -> None:
    images = images_of(broken, crop)
    found = [one.index for batch in images.batches("reading", QUIET) for one in batch]
    assert found == [0, 2]
    [(path, reason)] = images.problems.items()
    assert str(path) in reason
    again = [one.index for batch in images.batches("reading", QUIET) for one in batch]
    assert again == [0, 2]
    assert len(images.problems) == 1


def test_nothing_readable_is_an_error(broken: Path) -> None:
    for path in (broken / "images").iterdir():
        path.write_text("no image")
    with pytest.raises(DataError, match=r"none of the 3 .* could be read; first: .*cannot be"):
        list(images_of(broken).batches("reading", QUIET))


@pytest.mark.parametrize("crop", ["center", "none"])
def test_counts_are_those_of_the_masks(scenes: Path, model: Segmenter, crop: Crop) -> None:
    sized = Segmenter(model.network, model.config)
    images = LabelledImages(open_folder(scenes, "val", labelled=True), model.config.size, crop)
    counted = count_pixels(sized, images, keep_images=True, reporter=QUIET)
    assert len(counted.images) == 3
    assert counted.matrix.sum() == counted.images.counts.sum()
    expected = Confusion(len(images.folder.classes), model.clusters)
    for batch in images.batches("reading", QUIET):
        for one in batch:
            expected.update(one.truth, model.predict(Image.fromarray(one.image)))
    if crop == "none":
        np.testing.assert_array_equal(counted.matrix, expected.matrix)
    else:  # batches of another size may move a pixel at a border
        assert np.abs(counted.matrix - expected.matrix).sum() <= 0.002 * expected.matrix.sum()
    assert len(count_pixels(sized, images, reporter=QUIET).images) == 0


def test_masks_are_checked_alone(broken: Path) -> None:
    """The images are not read."""
    folder = open_folder(broken, "val", labelled=True)
    check_masks(folder)
    last = Path(str(folder.photos[-1].mask))
    Image.fromarray(np.full((48, 64), 77, np.uint8)).save(last)
    with pytest.raises(DataError, match="holds the ids 77"):
        check_masks(folder)
    for photo in folder.photos:
        Image.fromarray(np.eye(8, dtype=np.uint8) * 255).save(str(photo.mask))
    with pytest.raises(DataError, match="the masks hold 0 and 255 alone"):
        check_masks(folder)

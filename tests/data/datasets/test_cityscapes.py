from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from picie.data.datasets.cityscapes import CITYSCAPES19, CITYSCAPES27
from picie.data.folder import PhotoFolder
from picie.errors import DataError

Opened = Callable[..., PhotoFolder]
Put = Callable[..., Path]
Truths = Callable[[PhotoFolder], dict[str, list[int]]]

# trainId of each labelId, from the official label table.
TRAIN_IDS = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11}
TRAIN_IDS |= {25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}


@pytest.fixture
def tree(put: Put) -> None:
    ids = np.array([[*range(34), 255]])
    for split, city, kind in (
        ("train", "aachen", "gtFine"),
        ("val", "lindau", "gtFine"),
        ("test", "bonn", ""),
        ("train_extra", "augsburg", "gtCoarse"),
    ):
        frame = f"{split}/{city}/{city}_000000_000019"
        put(f"leftImg8bit/{frame}_leftImg8bit.png", np.zeros((1, 35, 3)))
        if kind:
            put(f"{kind}/{frame}_{kind}_labelIds.png", ids)
            put(f"{kind}/{frame}_{kind}_color.png", ids)


@pytest.mark.usefixtures("tree")
def test_label_ids_in_27_classes(opened: Opened, truths: Truths) -> None:
    expected = {"val/lindau/lindau_000000_000019": [255, *range(27)]}
    assert truths(opened("cityscapes27", "val")) == expected


@pytest.mark.usefixtures("tree")
def test_label_ids_in_19_classes(opened: Opened) -> None:
    folder = opened("cityscapes19", "val")
    mask = folder.truth(folder.photos[0], image_size=(35, 1))
    assert mask[0].tolist() == [TRAIN_IDS.get(stored, 255) for stored in [*range(34), 255]]


@pytest.mark.usefixtures("tree")
def test_splits_of_the_reference(opened: Opened, truths: Truths) -> None:
    learn = opened("cityscapes27", "test+train_extra", labelled=False)
    assert [photo.name.split("/")[0] for photo in learn.photos] == ["test", "train_extra"]
    assert [name.split("/")[0] for name in truths(opened("cityscapes27", "train+val"))] == [
        "train",
        "val",
    ]


@pytest.mark.usefixtures("tree")
def test_coarse_labels_are_those_of_train_extra(opened: Opened) -> None:
    [photo] = opened("cityscapes27", "train_extra").photos
    assert photo.mask is not None
    assert Path(photo.mask).name == "augsburg_000000_000019_gtCoarse_labelIds.png"
    with pytest.raises(DataError, match="labels of test are not published"):
        opened("cityscapes27", "test")


def test_names_and_groups() -> None:
    assert CITYSCAPES27.classes[:4] == ("road", "sidewalk", "parking", "rail track")
    assert CITYSCAPES27.groups["things"] == tuple(range(17, 27))
    assert CITYSCAPES19.classes[-3:] == ("train", "motorcycle", "bicycle")
    assert CITYSCAPES19.groups["things"] == tuple(range(11, 19))
    assert CITYSCAPES19.palette[0] == CITYSCAPES27.palette[0] == (128, 64, 128)

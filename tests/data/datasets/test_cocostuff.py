import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from picie.data.datasets.cocostuff import (
    COARSE,
    COCOSTUFF15,
    COCOSTUFF27,
    COCOSTUFF171,
    FINE,
    UNUSED,
    is_curated,
)
from picie.data.folder import PhotoFolder
from picie.data.masks import read_mask, stored_ids
from picie.errors import DataError

Opened = Callable[..., PhotoFolder]
Put = Callable[..., Path]
Truths = Callable[[PhotoFolder], dict[str, list[int]]]

ALL = np.array([[*range(182), 255]])
LIST = "curated/val2017/Coco164kFull_Stuff_Coarse_7.txt"


@pytest.fixture
def tree(put: Put, tmp_path: Path) -> None:
    """Three val images: every id, and large ones with 75 % of stuff and with less."""
    ids = np.full((360, 360), 105)
    put("images/val2017/000000000001.jpg", np.zeros((1, 183)))
    put("annotations/val2017/000000000001.png", ALL)
    for name, things in (("000000000002", 90), ("000000000003", 91)):
        ids[:things] = 0
        put(f"images/val2017/{name}.jpg", np.zeros((360, 360)))
        put(f"annotations/val2017/{name}.png", ids)
    (tmp_path / LIST).parent.mkdir(parents=True)
    (tmp_path / LIST).write_text("000000000003\n000000000001\n")


def test_every_fine_id_has_one_coarse_class() -> None:
    members = [fine for _, ids in COARSE for fine in ids]
    assert sorted(members) == list(range(182))
    assert len(FINE) == len(set(FINE)) == 182
    assert {fine < 91 for _, ids in COARSE[:12] for fine in ids} == {True}
    assert {fine < 91 for _, ids in COARSE[12:] for fine in ids} == {False}


def test_names_of_both_levels_belong_together() -> None:
    for fine, coarse in [
        ("person", "person"),
        ("bicycle", "vehicle"),
        ("traffic light", "outdoor"),
        ("cat", "animal"),
        ("tie", "accessory"),
        ("surfboard", "sports"),
        ("cup", "kitchen"),
        ("pizza", "food-thing"),
        ("toilet", "furniture-thing"),
        ("laptop", "electronic"),
        ("oven", "appliance"),
        ("book", "indoor"),
        ("ceiling-tile", "ceiling"),
        ("floor-wood", "floor"),
        ("vegetable", "food-stuff"),
        ("table", "furniture-stuff"),
        ("plastic", "raw-material"),
        ("towel", "textile"),
        ("wall-brick", "wall"),
        ("window-blind", "window"),
        ("skyscraper", "building"),
        ("road", "ground"),
        ("tree", "plant"),
        ("clouds", "sky"),
        ("wood", "solid"),
        ("railing", "structural"),
        ("sea", "water"),
    ]:
        assert FINE.index(fine) in dict(COARSE)[coarse]


@pytest.mark.usefixtures("tree")
def test_fine_ids_in_27_classes(opened: Opened) -> None:
    folder = opened("cocostuff27", "val")
    assert [photo.name for photo in folder.photos] == [
        "val2017/000000000001",
        "val2017/000000000003",
    ]
    mask = folder.truth(folder.photos[0], image_size=(183, 1))[0].tolist()
    expected = [next(i for i, (_, ids) in enumerate(COARSE) if k in ids) for k in range(182)]
    assert mask == [*expected, 255]
    assert folder.groups == {"things": tuple(range(12)), "stuff": tuple(range(12, 27))}


@pytest.mark.usefixtures("tree")
def test_fine_ids_in_15_classes(opened: Opened) -> None:
    folders = [opened(name, "val") for name in ("cocostuff27", "cocostuff15")]
    all27, stuff = (one.truth(one.photos[0], image_size=(183, 1)) for one in folders)
    assert (stuff[all27 < 12] == 255).all()
    assert (stuff[all27 == 255] == 255).all()
    inner = (all27 >= 12) & (all27 < 255)
    assert (stuff[inner] == all27[inner] - 12).all()
    assert COCOSTUFF15.classes == COCOSTUFF27.classes[12:]


@pytest.mark.usefixtures("tree")
def test_fine_ids_in_171_classes(opened: Opened) -> None:
    folder = opened("cocostuff171", "val")
    mask = folder.truth(folder.photos[0], image_size=(183, 1))[0]
    assert [int(k) for k in np.flatnonzero(mask[:182] == 255)] == list(UNUSED)
    assert mask[mask != 255].tolist() == list(range(171))
    assert [len(ids) for ids in COCOSTUFF171.groups.values()] == [80, 91]
    assert COCOSTUFF171.classes[79:81] == ("toothbrush", "banner")


@pytest.mark.usefixtures("tree")
def test_splits(opened: Opened, tmp_path: Path) -> None:
    assert len(opened("cocostuff27", "val2017")) == 3
    derived = opened("cocostuff27", "val-derived", labelled=False)
    assert [photo.name for photo in derived.photos] == ["val2017/000000000002"]
    (tmp_path / LIST).unlink()
    with pytest.raises(DataError, match=r"_7\.txt: does not exist; put the folder curated/ of "):
        opened("cocostuff15", "val")
    with pytest.raises(DataError, match=r"no images/train2017/; unzip train2017\.zip \(http://im"):
        opened("cocostuff15", "train")


@pytest.mark.parametrize(
    ("shape", "stuff", "curated"),
    [((360, 400), 270, True), ((360, 400), 269, False), ((359, 400), 359, False)],
)
def test_rule_of_the_lists(put: Put, shape: tuple[int, int], stuff: int, curated: bool) -> None:
    ids = np.full(shape, 255)  # pixels without a label count, too
    ids[: stuff // 2], ids[stuff // 2 : stuff] = 91, 181
    assert is_curated(put("mask.png", ids)) is curated


def test_map_gives_the_coarse_masks_of_a_sample() -> None:
    if "PICIE_TEST_DATA" not in os.environ:
        pytest.skip("PICIE_TEST_DATA, a folder with cocostuff_mini/, is not set")
    root = Path(os.environ["PICIE_TEST_DATA"]) / "cocostuff_mini"
    files = sorted((root / "masks_fine").glob("*.png"))
    if not files:
        pytest.skip(f"{root / 'masks_fine'} is absent")
    for path in files:
        coarse = stored_ids(root / "masks" / path.name)
        size = (coarse.shape[1], coarse.shape[0])
        mapped = read_mask(path, image_size=size, num_classes=27, code=COCOSTUFF27.code)
        assert (mapped == coarse).all(), path.name

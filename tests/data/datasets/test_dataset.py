"""The colour map of VOC, and which trees a layout fits."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from picie.data.datasets.dataset import Dataset, Layout, Part, class_map, open_known, voc_colours
from picie.data.masks import LabelCode
from picie.data.own_outputs import EXPORT_MARK
from picie.errors import ConfigError, DataError


def slow_colours(count: int) -> list[tuple[int, int, int]]:
    """The loop of the VOC development kit."""
    found = []
    for number in range(count):
        colour, rest = [0, 0, 0], number
        for shift in range(7, -1, -1):
            for channel in range(3):
                colour[channel] |= (rest >> channel & 1) << shift
            rest >>= 3
        found.append((colour[0], colour[1], colour[2]))
    return found


def test_colours_of_voc() -> None:
    assert list(voc_colours(256)) == slow_colours(256)
    assert voc_colours(21)[15] == (192, 128, 128)  # person
    assert len(np.unique(voc_colours(256), axis=0)) == 256


def test_ids_that_are_no_class() -> None:
    assert class_map(3, {0: 1}, other=255) == (1, 255, 255)


def test_a_layout_fits_where_any_of_its_image_folders_is(tmp_path: Path) -> None:
    own, split = Layout(""), Layout("", {"a": Part("x/a", "y"), "b": Part("x/b", "y")})
    assert not own.fits(tmp_path)
    assert not split.fits(tmp_path)
    (tmp_path / "x" / "b").mkdir(parents=True)
    assert split.fits(tmp_path)
    (tmp_path / "images").mkdir()
    assert own.fits(tmp_path)


# --- splits and lists of known data sets, and what is said of wrong and incomplete trees


Put = Callable[..., Path]

PARTS = {
    "train": Part("images/train", "labels/train"),
    "val": Part("images/val", "labels/val", image_end="_rgb.png", mask_end="_ids.png"),
    "test": Part("images/test", ""),
    "listed": Part("images/train", "labels/train", names="lists/a.txt"),
    "fixed": Part("images/train", "labels/train", stems=("a", "c")),
    "empty": Part("images/train", "labels/train", keep=lambda mask: False),
    "none": Part("images/train", "labels/train", image_end=".gif"),
}
TREE = "images/{train,val,test}/<name>.jpg\nlabels/{train,val}/<name>.png"
MINE = Dataset(("a", "b"), LabelCode("mine", (0, 1)), (Layout(TREE, PARTS),), ())
SOURCES = {
    "images/train": "unzip photos.zip",
    "images/val": "unzip photos.zip",
    "labels/train": "unzip labels.zip",
    "lists/a.txt": "take train",
}
FETCHED = replace(MINE, layouts=(Layout(TREE, PARTS, sources=SOURCES),))
BOTH = Dataset(
    ("a", "b"),
    LabelCode("both", (0, 1, 255)),
    (Layout("images/...", PARTS), Layout("images/...", stored=2)),
    (),
)


@pytest.fixture
def root(put: Put, tmp_path: Path) -> Path:
    for name in ("c", "a", "b/x"):
        put(f"images/train/{name}.jpg")
        put(f"labels/train/{name}.png")
    put("images/val/a_rgb.png")
    put("labels/val/a_ids.png")
    put("images/val/notes.png")
    put("images/test/z.jpg")
    put("lists/other.png")
    return tmp_path


def names(root: Path, split: str, dataset: Dataset = MINE) -> list[str]:
    return [photo.name for photo in open_known(dataset, root, split, labelled=False).photos]


def test_images_are_sorted_and_have_their_masks(root: Path) -> None:
    folder = open_known(MINE, root, "train", labelled=True)
    assert [photo.name for photo in folder.photos] == ["train/a", "train/b/x", "train/c"]
    assert folder.photos[1].path == root / "images/train/b/x.jpg"
    assert folder.photos[1].mask == root / "labels/train/b/x.png"
    assert (folder.root, folder.split, folder.classes) == (root, "train", ("a", "b"))


def test_what_is_left_out_is_said_once(root: Path) -> None:
    export = root / "images" / "train" / "out"
    export.mkdir()
    (export / EXPORT_MARK).write_text("{}")
    (export / "q.jpg").write_text("")
    (root / "images" / "train" / "lost.jpg").symlink_to(root / "gone.jpg")
    (root / "images" / "train" / "album").symlink_to(root / "gone")
    folder = open_known(MINE, root, "train+val+train", labelled=False)
    assert [photo.name for photo in folder.photos if photo.mask is None] == ["train/lost"]
    assert folder.notes == (
        "left out out/: written by picie export",
        "left out, because they are links that lead nowhere: album",
    )


def test_endings_belong_to_the_split(root: Path) -> None:
    folder = open_known(MINE, root, "val", labelled=True)
    assert [photo.name for photo in folder.photos] == ["val/a"]
    assert folder.photos[0].mask == root / "labels/val/a_ids.png"


def test_splits_are_joined_without_repeats(root: Path) -> None:
    train = ["train/a", "train/b/x", "train/c"]
    assert names(root, "train+val") == names(root, "val+train") == [*train, "val/a"]
    assert names(root, "train+fixed") == train


def test_a_list_file(root: Path) -> None:
    (root / "lists" / "a.txt").write_text("b/x\na.jpg\n\na\n")
    assert names(root, "listed") == ["train/a", "train/b/x"]
    (root / "lists" / "a.txt").write_text("a\nq\nr\n")
    with pytest.raises(DataError, match=r"a\.txt: 2 of 3 images are not in .*train \(q, r, each"):
        names(root, "listed")
    (root / "lists" / "a.txt").write_text("\n")
    with pytest.raises(DataError, match=r"a\.txt: lists no image"):
        names(root, "listed")


def test_what_is_missing_comes_with_its_source(root: Path) -> None:
    def message(split: str, *, labelled: bool = False) -> str:
        with pytest.raises(DataError) as caught:
            open_known(FETCHED, root, split, labelled=labelled)
        return str(caught.value)

    assert message("listed") == f"{root}/lists/a.txt: does not exist; take train"
    (root / "lists" / "a.txt").write_text("q\n")
    assert message("listed").endswith("(q, each with .jpg); unzip photos.zip")
    (root / "labels/train/a.png").unlink()
    assert "no mask (train/a); unzip labels.zip\nexpected:" in message("train+val", labelled=True)
    (root / "images/val").rename(root / "images/old")
    assert "there is no images/val/; unzip photos.zip\nexpected:" in message("val")
    (root / "images").rename(root / "photos")
    to_do = f"  {TREE.splitlines()[1]}\nto get there:\n  unzip photos.zip\n  unzip labels.zip\n"
    assert to_do + "  take train\nfound:" in message("train")
    (root / "photos").rename(root.parent / "photos")
    gone = root / "gone"
    with pytest.raises(DataError, match=r"labels\.zip\n  take train$"):
        open_known(FETCHED, gone, "train", labelled=False)


def test_a_list_file_that_is_not_there(root: Path) -> None:
    with pytest.raises(DataError, match=r"lists/a\.txt: does not exist; put the list there$"):
        names(root, "listed")


def test_fixed_images_must_be_there(root: Path) -> None:
    assert names(root, "fixed") == ["train/a", "train/c"]
    (root / "images/train/c.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 2 images are not in .* \(c, each with \.jpg\)"):
        names(root, "fixed")


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (
            "",
            "mine: no split given; known: train, val, test, listed, fixed, empty, none (join",
        ),
        ("trian", "mine: unknown split 'trian'; did you mean 'train'? (join several with +)"),
        ("train+vall", "mine: unknown split 'vall'; did you mean 'val'?"),
    ],
)
def test_unknown_splits(root: Path, split: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        names(root, split)
    assert str(caught.value).startswith(message)


# --- labels


def test_labels_are_needed_only_to_score(root: Path) -> None:
    (root / "labels/train/b/x.png").unlink()
    assert names(root, "train") == ["train/a", "train/b/x", "train/c"]
    with pytest.raises(DataError) as caught:
        open_known(MINE, root, "train", labelled=True)
    assert str(caught.value) == (
        f"{root}: mine: labels are needed, but 1 of 3 images have no mask (train/b/x)\n"
        "expected:\n"
        "  images/{train,val,test}/<name>.jpg\n"
        "  labels/{train,val}/<name>.png\n"
        "found:\n"
        "  images/ (test/, train/, val/)\n"
        "  labels/ (train/, val/)\n"
        "  lists/ (other.png)"
    )


def test_labels_that_are_not_published(root: Path) -> None:
    assert names(root, "test") == ["test/z"]
    with pytest.raises(
        DataError, match="mine: the labels of test are not published; evaluate anoth"
    ):
        open_known(MINE, root, "train+test", labelled=True)


def test_a_derived_split_needs_masks_and_may_be_empty(root: Path) -> None:
    with pytest.raises(DataError, match="no image is left in the split empty; use another"):
        names(root, "empty")
    (root / "labels/train/a.png").unlink()
    with pytest.raises(DataError, match=r"labels are needed, but 1 of 3 .* \(train/a\)"):
        names(root, "empty")


# --- wrong trees


def test_a_split_that_is_not_there(put: Put, tmp_path: Path) -> None:
    put("images/val/a_rgb.png")
    with pytest.raises(DataError) as caught:
        names(tmp_path, "train")
    assert str(caught.value) == (
        f"{tmp_path}: mine: split train: there is no images/train/; put the images there\n"
        "expected:\n"
        "  images/{train,val,test}/<name>.jpg\n"
        "  labels/{train,val}/<name>.png\n"
        "found:\n"
        "  images/ (val/)"
    )


def test_a_split_without_its_kind_of_image(root: Path) -> None:
    with pytest.raises(DataError, match=r"split none: no \*\.gif in images/train/; put"):
        names(root, "none")


def test_a_wrong_root_shows_both_trees(put: Put, tmp_path: Path) -> None:
    put("photos/a.png")
    put("readme.png")
    with pytest.raises(DataError) as caught:
        names(tmp_path, "train", BOTH)
    assert str(caught.value) == (
        f"{tmp_path}: both: the images are not in the expected folders; check the path, or move "
        "the folders\n"
        "expected:\n"
        "  images/...\n"
        "or:\n"
        "  images/...\n"
        "found:\n"
        "  photos/ (a.png)\n"
        "  readme.png"
    )


def test_the_parent_of_the_root_is_recognised(put: Put, tmp_path: Path) -> None:
    put("deep/images/val/a_rgb.png")
    with pytest.raises(DataError) as caught:
        names(tmp_path, "val")
    assert f": mine: give {tmp_path / 'deep'}, which has the expected layout\n" in str(caught.value)


def test_long_folders_are_shortened(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"f{number}" / "x").mkdir(parents=True)
    for number in range(5):
        (tmp_path / "f0" / f"y{number}").write_text("")
    with pytest.raises(DataError) as caught:
        names(tmp_path, "train")
    found = str(caught.value).split("found:\n")[1].splitlines()
    assert found[0] == "  f0/ (x/, y0, y1, y2, ...)"
    assert found[7:] == ["  f7/ (x/)", "  ..."]


def test_an_empty_root_and_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found:\n  nothing$"):
        names(tmp_path, "train")
    with pytest.raises(DataError, match=r"gone: does not exist; give the root of mine\nexpected:"):
        names(tmp_path / "gone", "train")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file: is not a folder; give the root of mine\nexpected:"):
        names(tmp_path / "file", "train")


# --- picie's own form


def test_own_form(put: Put, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        put(f"images/{name}.jpg")
        put(f"masks/{name}.png")
    (tmp_path / "one.txt").write_text("a\n")
    (tmp_path / "two.txt").write_text("c\n")
    assert names(tmp_path, "", BOTH) == ["a", "b", "c"]
    assert names(tmp_path, "two+one", BOTH) == ["a", "c"]
    assert names(tmp_path, "b*+two+!one", BOTH) == ["b", "c"]
    folder = open_known(BOTH, tmp_path, "", labelled=True)  # without classes.txt
    assert folder.classes == ("a", "b")
    (tmp_path / "masks/b.png").unlink()
    with pytest.raises(DataError, match=r"labels are needed, but 1 of 3 images .* \(b\)"):
        open_known(BOTH, tmp_path, "", labelled=True)


def test_class_names_of_another_set(put: Put, tmp_path: Path) -> None:
    put("images/a.jpg")
    (tmp_path / "classes.txt").write_text("x\ny\n")
    assert names(tmp_path, "", BOTH) == ["a"]
    (tmp_path / "classes.txt").write_text("x\ny\nz\n")
    with pytest.raises(
        DataError, match=r"classes\.txt: lists 3 classes, but masks of both hold 2; is"
    ):
        names(tmp_path, "", BOTH)

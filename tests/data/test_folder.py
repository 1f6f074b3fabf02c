import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from picie.data.folder import lists_of, open_folder
from picie.data.masks import read_mask
from picie.errors import DataError

SHARED = Path(
    os.environ.get("PICIE_TEST_DATA", Path(__file__).parents[2].parent / "shared" / "data")
)


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def names(root: Path, split: str = "") -> list[str]:
    return [photo.name for photo in open_folder(root, split).photos]


def labelled_tree(root: Path) -> Path:
    touch(root, "images/a.jpg", "images/b/c.png", "masks/a.png", "masks/b/c.png")
    (root / "classes.txt").write_text("sky\nroad\n")
    return root


def test_finds_images_at_any_depth_sorted_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "cam2/1.png", "cam1/x/9.webp", "a.v2.tiff", "notes.txt", "c.nef")
    assert names(tmp_path) == ["a.v2", "b", "cam1/x/9", "cam2/1"]
    assert open_folder(tmp_path).photos[1].path == tmp_path / "b.JPG"
    assert len(open_folder(str(tmp_path))) == 4


def test_images_folder_is_preferred(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg", "other/b.jpg", "c.jpg")
    assert names(tmp_path) == ["a"]


def test_only_the_top_masks_folder_is_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "masks/a.png", "party/masks/b.png")
    assert names(tmp_path) == ["a", "party/masks/b"]
    assert open_folder(tmp_path).photos[0].mask == tmp_path / "masks" / "a.png"


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "._a.jpg", ".cache/b.jpg")
    assert names(tmp_path) == ["a"]


def test_a_folder_called_like_a_image_is_searched(tmp_path: Path) -> None:
    assert names(touch(tmp_path, "a.jpg/b.jpg")) == ["a.jpg/b"]


def test_link_loops_end_and_every_folder_counts_once(tmp_path: Path) -> None:
    touch(tmp_path / "photos", "real/a.jpg")
    (tmp_path / "photos/real/loop").symlink_to(tmp_path / "photos")
    (tmp_path / "photos/alias").symlink_to(tmp_path / "photos/real")
    touch(tmp_path / "far", "b.jpg")
    (tmp_path / "photos/far").symlink_to(tmp_path / "far")
    assert names(tmp_path / "photos") == ["far/b", "real/a"]


def test_links_to_files_count_even_when_they_dangle(tmp_path: Path) -> None:
    touch(tmp_path / "store", "a.jpg")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/one.jpg").symlink_to(tmp_path / "store/a.jpg")
    (tmp_path / "photos/two.jpg").symlink_to(tmp_path / "store/gone.jpg")
    assert names(tmp_path / "photos") == ["one", "two"]


def test_same_stem_keeps_both_images_under_unique_names(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "a.jpg", "a.png.jpg", "masks/a.png", "masks/a.png.png")
    folder = open_folder(tmp_path)
    found = {photo.name: photo.path.name for photo in folder.photos}
    assert found == {"a": "a.jpg", "a.png": "a.png", "a.png.jpg": "a.png.jpg"}
    masks = [Path(photo.mask).name if photo.mask else None for photo in folder.photos]
    assert masks == ["a.png", "a.png.png", None]


def test_one_image_file(tmp_path: Path) -> None:
    folder = open_folder(touch(tmp_path, "a.b.jpg") / "a.b.jpg")
    assert [(photo.name, photo.mask) for photo in folder.photos] == [("a.b", None)]
    with pytest.raises(DataError, match=r"a\.b\.jpg: is one image and has no split 'train'"):
        open_folder(tmp_path / "a.b.jpg", "train")
    with pytest.raises(DataError, match=r"a\.b\.jpg: labels are needed; .*there is no masks/"):
        open_folder(tmp_path / "a.b.jpg", labelled=True)


def test_one_file_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.pdf: is not a supported image; convert .*: \.jpg"):
        open_folder(touch(tmp_path, "a.pdf") / "a.pdf")


def test_missing_root(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone: does not exist; check the path"):
        open_folder(tmp_path / "gone")


def test_no_images_says_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no images \(0 files\); supported: \.jpg .* \.tiff"):
        open_folder(tmp_path)
    touch(tmp_path, "b.nef", "a.nef")
    with pytest.raises(DataError, match=r"no images \(2 files, first: a\.nef\).*2 \.nef: picie"):
        open_folder(tmp_path)


def test_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: Any) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("picie.data.folder.os.scandir", refuse)
    with pytest.raises(DataError, match=r"cannot be searched \(Permission denied\)"):
        open_folder(tmp_path)


def test_a_listed_image_takes_little_memory(tmp_path: Path) -> None:
    touch(tmp_path, *(f"images/{number:05d}.jpg" for number in range(1000)))
    tracemalloc.start()
    try:
        folder = open_folder(tmp_path)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    path = len(folder.photos[0].file)
    assert kept / 1000 < 200 + 2 * path
    assert peak / 1000 < 600 + 4 * path


# --- splits


@pytest.mark.parametrize("within", ["", "images/"])
def test_split_takes_names_or_paths_in_any_order(tmp_path: Path, within: str) -> None:
    touch(tmp_path, *(within + name for name in ("a.jpg", "b.jpg", "cam/c.png", "d.v1.png")))
    text = "\ufeff# made by hand\r\ncam/c.png\r\n\r\n  b \r\nb.jpg\r\n./d.v1\r\ncam\\c\r\n"
    (tmp_path / "train.txt").write_text(text, encoding="utf-8", newline="")
    folder = open_folder(tmp_path, "train")
    assert [photo.name for photo in folder.photos] == ["b", "cam/c", "d.v1"]
    assert folder.split == "train"


def test_split_tells_images_of_one_stem_apart(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.png", "b.jpg", "b.png")
    (tmp_path / "val.txt").write_text("a.png\nb\n")
    assert [photo.path.name for photo in open_folder(tmp_path, "val").photos] == ["a.png", "b.jpg"]


def test_unknown_entries_are_named_and_counted(tmp_path: Path) -> None:
    touch(tmp_path, "cam/a.jpg")
    (tmp_path / "val.txt").write_text("cam/a\nv\nw\nx\ny.png\n")
    with pytest.raises(DataError, match=r"val\.txt: 4 of 5 .* \(v, w, x, \.\.\.\); .* 'cam/a'"):
        open_folder(tmp_path, "val")


def test_missing_list_names_those_that_exist(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    with pytest.raises(DataError, match=r"test\.txt: does not exist; there are no lists here"):
        open_folder(tmp_path, "test")
    touch(tmp_path, "val.txt", "train.txt")
    (tmp_path / "classes.txt").write_text("sky\n")
    with pytest.raises(DataError, match=r"test\.txt: .*; lists here: train\.txt, val\.txt$"):
        open_folder(tmp_path, "test")


def test_empty_list(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "val.txt")
    with pytest.raises(DataError, match=r"val\.txt: lists no image"):
        open_folder(tmp_path, "val")


def test_list_in_another_encoding(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "val.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"val\.txt: cannot be read \(it is not UTF-8 text\)"):
        open_folder(tmp_path, "val")


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train+val", "day/1 day/2 dusk1"),
        ("day/*", "day/1 day/2"),
        ("dusk?", "dusk1 dusk2"),
        ("!dusk*", "day/1 day/2 odd[1]"),
        ("!dusk*+!odd[1]*", "day/1 day/2"),
        ("train+!dusk*", "day/1"),
        ("!dusk*+train", "day/1"),
        ("val+dusk*", "day/2 dusk1 dusk2"),
        ("!train", "day/2 dusk2 odd[1]"),
        ("odd[1]*", "odd[1]"),
    ],
)
def test_parts_of_a_split_are_joined_or_taken_away(
    tmp_path: Path, split: str, expected: str
) -> None:
    for name in ("day/1", "day/2", "dusk1", "dusk2", "odd[1]"):
        touch(tmp_path, f"images/{name}.jpg")
    (tmp_path / "train.txt").write_text("dusk1\nday/1\n")
    (tmp_path / "val.txt").write_text("day/2\n")
    assert names(tmp_path, split) == expected.split()
    assert open_folder(tmp_path, split).split == split


@pytest.mark.parametrize("split", ["a+b", "a*", "!a", "a+b+c*"])
def test_a_list_of_that_very_name_comes_first(tmp_path: Path, split: str) -> None:
    touch(tmp_path, "a.jpg", "a1.jpg", "z.jpg")
    (tmp_path / f"{split}.txt").write_text("z\n")
    assert names(tmp_path, split) == ["z"]


def test_a_list_may_be_named_like_a_pattern_in_a_part_too(tmp_path: Path) -> None:
    touch(tmp_path, "a1.jpg", "b.jpg", "z.jpg")
    (tmp_path / "a*.txt").write_text("z\n")
    assert names(tmp_path, "a*+b*") == ["b", "z"]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("c*", r"split 'c\*': no image has a name like 'c\*'; names look like 'a'"),
        ("!c*", r"split '!c\*': no image has a name like 'c\*'"),
        ("a*+test", r"test\.txt: does not exist; lists here: val\.txt"),
        ("!test", r"test\.txt: does not exist"),
        ("val+", r"split 'val\+' has an empty part; join lists as in 'train\+val'"),
        ("!", "has an empty part"),
        ("val+!a*", r"split 'val\+!a\*' leaves no image"),
    ],
)
def test_parts_that_cannot_be_used(tmp_path: Path, split: str, message: str) -> None:
    touch(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "val.txt").write_text("a\n")
    with pytest.raises(DataError, match=message):
        open_folder(tmp_path, split)


def test_lists_of_a_split_are_named() -> None:
    assert lists_of("") == []
    assert lists_of("val") == ["val.txt"]
    assert lists_of("a+!b*") == ["a+!b*.txt", "a.txt", "!b*.txt", "b*.txt"]


# --- labels


def test_labelled_folder(tmp_path: Path) -> None:
    folder = open_folder(labelled_tree(tmp_path), labelled=True)
    assert folder.classes == ("sky", "road")
    assert [photo.mask for photo in folder.photos] == [
        tmp_path / "masks/a.png",
        tmp_path / "masks/b/c.png",
    ]
    assert folder.labelled == folder.photos


def test_labels_are_optional(tmp_path: Path) -> None:
    (labelled_tree(tmp_path) / "masks/a.png").unlink()
    folder = open_folder(tmp_path)
    assert [photo.name for photo in folder.labelled] == ["b/c"]


@pytest.mark.parametrize(
    ("lost", "found"),
    [
        ("masks", "there is no masks/"),
        ("classes.txt", r"there is no classes\.txt"),
        ("masks/a.png", r"1 of 2 images have no mask \(a\)"),
    ],
)
def test_missing_labels_say_what_is_expected_and_found(
    tmp_path: Path, lost: str, found: str
) -> None:
    labelled_tree(tmp_path)
    (tmp_path / lost).rename(tmp_path / "elsewhere")
    expected = r"expected images/<name>\.jpg .*, masks/<name>\.png and classes\.txt; "
    with pytest.raises(DataError, match=expected + found):
        open_folder(tmp_path, labelled=True)


def test_missing_masks_are_told_before_a_missing_list(tmp_path: Path) -> None:
    labelled_tree(tmp_path)
    (tmp_path / "masks").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"labels are needed; .*there is no masks/"):
        open_folder(tmp_path, "val", labelled=True)


def test_only_the_split_needs_masks(tmp_path: Path) -> None:
    (labelled_tree(tmp_path) / "masks/a.png").unlink()
    (tmp_path / "val.txt").write_text("b/c\n")
    assert len(open_folder(tmp_path, "val", labelled=True)) == 1


def test_class_names_that_cannot_be_used(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "classes.txt").write_text("sky\n\nroad\n")
    with pytest.raises(DataError, match=r"classes\.txt: line 2 is empty"):
        open_folder(tmp_path)
    (tmp_path / "classes.txt").write_text("".join(f"c{i}\n" for i in range(256)))
    with pytest.raises(DataError, match=r"classes\.txt: lists 256 classes; .* at most 255"):
        open_folder(tmp_path)
    (tmp_path / "classes.txt").write_text("".join(f"c{i}\n" for i in range(255)) + "\n\n")
    assert len(open_folder(tmp_path).classes) == 255


@pytest.mark.parametrize("name", ["camvid", "msrc", "cocostuff_mini"])
def test_shared_sets_open_and_their_splits_are_apart(name: str) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip(f"{SHARED / name} is absent; set PICIE_TEST_DATA")
    train, val = (open_folder(SHARED / name, split, labelled=True) for split in ("train", "val"))
    assert not set(train.photos) & set(val.photos)
    photo = val.photos[0]
    assert photo.mask is not None
    with Image.open(photo.path) as image:
        mask = read_mask(photo.mask, image_size=image.size, num_classes=len(val.classes))
    assert mask.shape == image.size[::-1]

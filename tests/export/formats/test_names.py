"""Names in exports: readable for every tool, different for every file system, and reversible."""

import os
import unicodedata
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest

from picie.errors import DataError
from picie.export.formats.names import LAYOUTS, Naming, class_names, escaped, exported

USUAL = ["a b", "sub é/日本", "IMG_0001 (2)", "it's, 100%", "a.b", "x-y_z+1=2&3;4@5!", "🐈‍⬛"]
UNUSUAL = [
    *("#1 roof", "sub/#2", " lead", "trail ", "\u3000wide", "dot.", "folder. /x", "tab\t"),
    *("new\nline", "cr\r", "next\x85line", "line\u2028", "par\u2029", "\ufeffbom", "bell\x07"),
    *("a:b", 'quo"te', "back\\slash", "q?", "star*", "<b>", "a|b", "del\x7f"),
    *("con", "NUL.part", "sub/com1", "lpt\xb9/x", "%41", "a%2fb", "x%%31"),
    *("latin\udce9", "\udcff/x", "a.png/x", "b.TXT/x"),
]


@pytest.mark.parametrize("name", USUAL)
def test_usual_names_stay(name: str) -> None:
    assert escaped(name) == name


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_names_change_and_lead_back(name: str) -> None:
    text = escaped(name)
    assert text != name
    assert unquote_to_bytes(text) == os.fsencode(name)
    assert escaped(text) != text  # so that no other name becomes the same
    for part in text.split("/"):
        assert part == part.strip()
        assert part.splitlines() == [part]
        assert not part.startswith("#")
        assert not part.endswith(".")
        assert not set(part) & set('\\:*?"<>|')
        part.encode()


@pytest.mark.parametrize("name", ["100%", "50% grey", "%", "%zz"])
def test_a_percent_sign_that_is_no_escape_stays(name: str) -> None:
    assert escaped(name) == name
    assert unquote_to_bytes(name) == name.encode()


TWINS = [
    ["A/x", "a/x"],
    ["AB", "Ab", "aB", "ab"],
    ["e\u0301", "é", "É"],
    ["Straße", "strasse"],
    ["\u03c3", "\u03c2"],
    ["x/é", "x/e\u0301"],
]


@pytest.mark.parametrize("names", TWINS)
def test_names_that_file_systems_confuse(names: list[str]) -> None:
    found = exported(names)
    assert found[names[0]] == names[0]
    keys = {unicodedata.normalize("NFC", name).casefold() for name in found.values()}
    assert len(keys) == len(names)
    for name, text in found.items():
        assert unquote_to_bytes(text) == name.encode()


@pytest.mark.parametrize("format", list(LAYOUTS))
def test_long_names_are_cut(format: str) -> None:
    names = [
        "x" * 251,
        "x" * 250,
        "日" * 83,
        "#" * 100,
        "é " * 80,
        "f" * 220 + "/y",
        "/".join("ab" * 99),
    ]
    found = exported(names, LAYOUTS[format].place)
    assert len(set(found.values())) == len(names)
    assert all(len(part.encode()) <= 200 for text in found.values() for part in text.split("/"))
    assert "x" * 150 in found["x" * 251]
    assert "~" in found["x" * 251]


def test_subfolders_that_become_part_of_the_name() -> None:
    names = ["a/b", "a__b", "a__b__2", "c", "p/q__r/y", "p/q/r/y", "p__q/r/y", "p__q__r/y"]
    flat = exported(names, LAYOUTS["yolo"].place)
    assert flat["a/b"] == "a__b"
    assert flat["a__b"] == "%61__b"
    assert flat["c"] == "c"
    assert len(set(flat.values())) == len(names)
    assert not any("/" in name for name in flat.values())


def test_cities() -> None:
    names = ["b_leftImg8bit", "c/a/b_leftImg8bit", "photos/b_leftImg8bit"]
    places = exported(names, LAYOUTS["cityscapes"].place)
    assert places["b_leftImg8bit"] == "photos/b%5FleftImg8bit"
    assert places["c/a/b_leftImg8bit"] == "c/a__b%5FleftImg8bit"
    assert len(set(places.values())) == 3


# --- names of photos


def naming(format: str, *files: str, policy: str = "copy") -> Naming:
    photos: dict[str, Path] = {}
    for file in files:
        stem = file.rpartition(".")[0]
        photos[file if stem in photos else stem] = Path("/photos") / file
    return Naming.of(format, photos, "none" if policy == "none" else "copy")


@pytest.mark.parametrize("format", ["coco", "labelstudio"])
def test_lists_of_paths_hold_those_of_own_photos(format: str) -> None:
    found = naming(format, "a.jpg", "a.png", "sub/b.JPG", policy="none")
    assert found.files == {"a": "a.jpg", "a.png": "a.png", "sub/b": "sub/b.JPG"}
    assert not found.renamed


def test_copies_differ_without_their_extensions() -> None:
    found = naming("coco", "a.jpg", "a.png", "sub/b.JPG")
    assert found.files == {"a": "a.jpg", "a.png": "a.png.png", "sub/b": "sub/b.JPG"}
    assert found.renamed == {"a.png.png": "a.png"}


def test_photos_and_masks_that_pair_by_name() -> None:
    found = naming("cvat", "a.jpg", "a.png", "sub/#b.jpg")
    assert found.stems == {"a": "a", "a.png": "a.png", "sub/#b": "sub/%23b"}
    assert found.files == {"a": "a.jpg", "a.png": "a.png.png", "sub/#b": "sub/%23b.jpg"}
    assert found.renamed == {"sub/%23b": "sub/#b.jpg"}


@pytest.mark.parametrize("format", ["coco", "cvat"])
def test_photos_that_few_programs_read_become_others(format: str) -> None:
    found = naming(format, "a.heic", "b.jfif", "c.gif", "d.TIF")
    listed = [found.files[name].rpartition(".")[2] for name in "abcd"]
    assert listed == ["jpg", "jpg", "png", "TIF"]
    assert naming("coco", "a.heic", policy="none").files == {"a": "a.heic"}


def test_pages_of_a_file_become_photos() -> None:
    photos = {name: Path("/photos/stack.tif") for name in ("stack.1", "stack.2")}
    found = Naming.of("coco", photos, "copy")
    assert found.files == {"stack.1": "stack.1.png", "stack.2": "stack.2.png"}
    assert found.renamed == {"stack.1.png": "stack.tif", "stack.2.png": "stack.tif"}
    with pytest.raises(DataError, match="--format coco cannot carry 2 of them"):
        Naming.of("coco", photos, "none")


@pytest.mark.parametrize("format", ["voc", "cvat", "yolo", "fiftyone"])
@pytest.mark.parametrize("file", ["#a.jpg", "a\nb.jpg", "x\udce9.jpg", "trail .jpg"])
def test_own_photos_cannot_be_renamed(format: str, file: str) -> None:
    with pytest.raises(DataError) as caught:
        naming(format, "fine.jpg", file, policy="none")
    assert f"--format {format} cannot carry 1 of them (first: {file!r}); rename" in str(
        caught.value
    )


@pytest.mark.parametrize("format", ["voc", "cvat", "yolo", "fiftyone"])
def test_own_photos_of_one_stem(format: str) -> None:
    with pytest.raises(DataError, match=r"cannot carry 1 of them \(first: 'a.png'\)"):
        naming(format, "a.jpg", "a.png", policy="none")
    found = naming(format, "sub/a.jpg", "a.png", policy="none")
    assert found.stems == {"sub/a": "sub/a", "a": "a"}


def test_json_carries_all_but_bytes() -> None:
    found = naming("coco", "#a.jpg", "a:b.jpg", "new\nline.jpg", policy="none")
    assert sorted(found.files.values()) == ["#a.jpg", "a:b.jpg", "new\nline.jpg"]
    with pytest.raises(DataError, match="--photos none keeps the names"):
        naming("coco", "x\udce9.jpg", policy="none")


# --- names of classes


def test_names_of_classes() -> None:
    names = ("#road", "a:b", "%41", "x#y", 'q"<&>', "no", "🐈")
    assert class_names("voc", names) == ("%23road", "a%3Ab", "%2541", "x#y", 'q"<&>', "no", "🐈")
    assert class_names("coco", names) == names
    assert class_names("labelstudio", ("$road", "a$")) == ("%24road", "a$")
    assert class_names("yolo", ("n0 till", "no")) == ("%6E0 till", "no")

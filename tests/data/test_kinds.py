import importlib.util
from pathlib import Path
from typing import Any

import pytest

from picie.data.images import EXTENSIONS
from picie.data.kinds import OtherFiles, extension, is_image, supported, why_unread


@pytest.fixture
def no_heif(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def find(name: str, *rest: Any) -> Any:
        return None if name == "pillow_heif" else real(name, *rest)

    monkeypatch.setattr("picie.data.kinds.find_spec", find)


def notes(*files: str) -> list[str]:
    others = OtherFiles()
    list(others.images(files))
    return list(others.notes())


def test_extensions_ignore_case() -> None:
    assert extension("a/b.x/c.JPG") == ".jpg"
    assert extension("a.b/c") == ""
    assert is_image("IMG_1.JFIF")
    assert not is_image("jpg")


def test_images_pass_and_others_are_counted(no_heif: None) -> None:
    others = OtherFiles()
    files = ["p/b.jpg", "p/c.NEF", "p/d.heic", "p/a.heic", "p/x.txt", "p/e.xyz", "p/README"]
    assert list(others.images(files)) == ["p/b.jpg"]
    assert others.found(Path("p")) == "6 files, first: README"
    loud, quiet = others.notes()
    assert loud == (
        "left out 2 .heic, 1 .nef: picie does not read them; "
        'to read .heic: pip install "picie[heif]"; convert the others to JPEG, PNG or TIFF'
    )
    assert quiet == "left out 1 without extension, 1 .xyz: not images, by their names"


@pytest.mark.parametrize(
    "kind", ["nef", "CR3", "dng", "jxl", "psd", "svg", "pdf", "eps", "mov", "exr", "dcm", "fits"]
)
def test_images_of_other_kinds_are_named(kind: str) -> None:
    [note] = notes("a.jpg", f"b.{kind}", f"c.{kind}")
    assert note.startswith(f"left out 2 .{kind.lower()}: picie does not read them; convert to JPEG")


def test_nothing_is_said_of_files_that_lie_beside_images_everywhere() -> None:
    assert notes("a.jpg", "a.xml", "a.json", "classes.txt", "a.xmp", "Thumbs.db", "x.csv") == []


def test_many_kinds_stay_one_line() -> None:
    [note] = notes(*(f"a.q{number:02d}" for number in range(30)))
    assert ", 1 .q11, 18 others: not images" in note


def test_heic_is_read_with_the_extra(no_heif: None) -> None:
    assert supported() == EXTENSIONS
    assert why_unread([".hif", ".heic"]) == 'to read .heic and .hif: pip install "picie[heif]"'
    assert why_unread([".nef"]) == "convert to JPEG, PNG or TIFF"
    assert not is_image("a.heic")


def test_heic_is_an_image_once_the_extra_is_installed() -> None:
    pytest.importorskip("pillow_heif")
    assert is_image("a.HEIC")
    assert notes("a.heic") == []

from pathlib import Path

import pytest

from picie.runtime.nearby import near_folder, no_folder


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("runs/first", "runs/second", "runs/.firsts", "photos"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "runs/frost").touch()  # a file
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("runs/frist", "runs/first"),
        ("./runs/frist", "runs/first"),
        ("rusn/first", "runs/first"),
        ("rusn/frist", "runs/first"),
        ("runs/frost", "runs/first"),
        ("runs/first/mdoel", None),
        ("photo", "photos"),
        ("user/name", None),
        ("runs/third/x", None),
        ("", "."),
    ],
)
def test_a_mistyped_path_is_near_to_one_that_exists(typed: str, meant: str | None) -> None:
    assert near_folder(Path(typed)) == (None if meant is None else Path(meant))


def test_an_absolute_path_too(tmp_path: Path) -> None:
    assert near_folder(tmp_path / "runs" / "secnd") == tmp_path / "runs" / "second"


def test_the_last_part_may_be_a_file() -> None:
    assert near_folder(Path("rusn/frst"), files=True) == Path("runs/frost")


@pytest.mark.parametrize(
    ("typed", "meant"), [("beahc.jpg", "beach.jpg"), ("beach.png", "beach.jpg"), ("gone.jpg", None)]
)
def test_extensions_make_no_files_alike(typed: str, meant: str | None) -> None:
    for name in ("beach.jpg", "text.jpg", "notes.txt"):
        Path(name).touch()
    assert near_folder(Path(typed), files=True) == (None if meant is None else Path(meant))


def test_the_message_asks_or_advises() -> None:
    asked = no_folder(Path("runs/frist"), "give one")
    assert asked == "runs/frist: no such folder; did you mean runs/first?"
    assert no_folder(Path("runs/frost"), "give one") == "runs/frost: is not a folder; give one"
    assert no_folder(Path("user/name"), "give one") == "user/name: no such folder; give one"

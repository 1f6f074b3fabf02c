import json
import os
from pathlib import Path

import pytest

from picie.data.own_outputs import EXPORT_MARK, MASKS_MANIFEST, written_files, written_folder

HEADER = {"picie": "0.2", "kind": "masks"}


def manifest(folder: Path, *lines: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (folder / MASKS_MANIFEST).write_text(text)
    return folder / MASKS_MANIFEST


def test_masks_and_their_company_are_listed_whatever_else_a_line_holds(
    tmp_path: Path,
) -> None:
    lines = [
        HEADER,
        {"classes": "classes.txt", "digest": "ab"},
        {"image": "a", "mask": "a.png", "digest": "ab", "overlay": "overlays/a.png"},
        "[1, 2]",
        {"image": "b", "mask": 3, "overlay": None},
        '{"mask": "half',
        {"image": "c", "mask": "x/c.png", "confidence": "confidence/x/c.png"},
    ]
    listed = ["a.png", "overlays/a.png", "x/c.png", "confidence/x/c.png"]
    assert list(written_files(manifest(tmp_path, *lines))) == listed


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.png", "x/../../a.png", ""])
def test_paths_that_lead_outside_are_skipped(tmp_path: Path, name: str) -> None:
    assert list(written_files(manifest(tmp_path, HEADER, {"mask": name}))) == []


@pytest.mark.parametrize(
    "header", [{"kind": "masks"}, {"picie": "1", "kind": "other"}, [1], "no JSON", "[" * 100_000]
)
def test_lists_of_others_list_nothing(tmp_path: Path, header: object) -> None:
    assert list(written_files(manifest(tmp_path, header, {"mask": "a.png"}))) == []


def test_a_list_that_cannot_be_read_lists_nothing(tmp_path: Path) -> None:
    assert list(written_files(tmp_path / "gone")) == []
    os.mkfifo(tmp_path / MASKS_MANIFEST)
    assert list(written_files(tmp_path / MASKS_MANIFEST)) == []


def test_folders_that_are_outputs_as_a_whole(tmp_path: Path) -> None:
    assert written_folder(tmp_path, {EXPORT_MARK}) == "export"
    assert written_folder(tmp_path, {"records", "runs", "table.html"}) == "bench"
    assert written_folder(tmp_path, {"records", "runs"}) == ""
    (tmp_path / "run.json").write_text('{"format": 1, "picie": "0.2"}')
    assert written_folder(tmp_path, {"run.json"}) == "train"


@pytest.mark.parametrize("text", ["{}", '{"format": 1}', "[]", "no JSON", "", '"picie format"'])
def test_the_run_of_another_program_is_a_folder_like_any(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    assert written_folder(tmp_path, {"run.json"}) == ""

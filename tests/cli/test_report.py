"""`picie report` from its flags to the file."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from picie.cli.app import main


def test_it_writes_one_file_and_says_what_it_did(
    runs: dict[str, Path], scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out = tmp_path / "my photos", tmp_path / "new folder" / "a report ü.html"
    shutil.copytree(scenes, photos)
    (photos / "images" / "broken [b].jpg").write_text("no")
    main(["report", str(runs["default"]), str(photos), "--out", str(out), "--gallery", "2"])
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    said = capsys.readouterr().err
    assert "broken [b].jpg: cannot be read as an image" in said
    assert "Only 9 of 10 photos have a mask" in said
    assert f"9 photos in {out} (" in said
    assert "skipped 1 unreadable photo" in said
    page = out.read_text(encoding="utf-8")
    assert "skipped 1 unreadable photo" in page
    assert page.count('<figure class="shot"') == 2


def test_what_cannot_be_read_is_named_once_beside_a_score_too(
    runs: dict[str, Path], scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "report.html"
    shutil.copytree(scenes, photos)
    (photos / "images" / "scene_0001.jpg").write_text("no")
    main(["report", str(runs["default"]), str(photos), "--out", str(out)])
    said = capsys.readouterr().err
    assert said.count("scene_0001.jpg: cannot be read") == 1
    assert "8 photos in" in said
    page = out.read_text(encoding="utf-8")
    assert "1 unreadable" in page
    assert "skipped 1 unreadable photo" in page


def test_other_clusters_and_post_processing(
    runs: dict[str, Path], scenes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "page.html"
    out.write_text("<!doctype html>\n<title>an older one - picie report</title>")
    flags = ["--split=val", "--clusters=4", "--scales", "1", "1.5", "--refine=2", "--quiet"]
    main(["report", str(runs["default"]), str(scenes), "--out", str(out), *flags])
    page = out.read_text(encoding="utf-8")
    assert "cut at 4" in page
    assert "mean of scales 1 1.5, 2 iterations of boundary refinement" in page


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--out", "{tmp}/report.png"], 2, "give a file that ends in .html"),
        (["--out", "{tmp}/mine.html"], 2, "was not written by this command, so it is not replaced"),
        (["--out", "{tmp}/photo.html"], 2, "is a file that this command reads"),
        (["--out", "{tmp}/link.html"], 2, "is a file that this command reads"),
        (["--out", "-"], 2, "picie report cannot write to standard output; give a path as --out"),
        (["--out", "{tmp}"], 2, "give a file that ends in .html"),
        (["--out", "{tmp}/file/report.html"], 1, "cannot be written"),
        (["--out", "{tmp}/a.html", "--gallery", "5000"], 2, "a gallery of 5000 photos"),
        (["--out", "{tmp}/a.html", "--split", "none"], 1, "none.txt: does not exist"),
        (["--out", "{tmp}/a.html", "--clusters", "99"], 2, "99 clusters"),
        (["--out", "{tmp}/a.html", "--size", "33"], 2, "multiple of 32"),
    ],
)
def test_what_cannot_be_is_said_before_any_work(
    runs: dict[str, Path],
    scenes: Path,
    tmp_path: Path,
    failure: Callable[..., tuple[int, str]],
    flags: list[str],
    code: int,
    message: str,
) -> None:
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "mine.html").write_text("<!doctype html>\n<title>mine</title>")
    os.link(scenes / "images" / "scene_0000.jpg", tmp_path / "photo.html")
    (tmp_path / "link.html").symlink_to(scenes / "masks" / "scene_0000.png")
    before = contents(tmp_path) | contents(scenes)
    flags = [flag.format(tmp=tmp_path) for flag in flags]
    found, said = failure("report", runs["default"], scenes, *flags)
    assert found == code
    assert message in said
    assert contents(tmp_path) | contents(scenes) == before


def test_no_model(scenes: Path, tmp_path: Path, failure: Callable[..., tuple[int, str]]) -> None:
    code, said = failure("report", tmp_path, scenes, "--out", tmp_path / "a.html")
    assert code == 1
    assert "holds no model" in said

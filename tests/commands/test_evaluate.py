"""`picie evaluate`: the table and the file."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie.cli import main
from picie.commands.evaluate import show
from picie.evaluation import Evaluation, evaluate
from picie.inference import Segmenter
from picie.metrics import score


def test_table_and_file_hold_the_scores(
    runs: dict[str, Path],
    scenes: Path,
    model: Segmenter,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "new folder" / "scores.json"
    args = ["--split", "val", "--fresh-clusters", "2", "--match", "majority", "--crop", "none"]
    main(["evaluate", str(runs["default"]), str(scenes), *args, "--size=64", f"--json={file}"])
    found = evaluate(
        model, scenes, split="val", size=64, crop="none", match="majority", fresh_clusters=2
    )
    assert json.loads(file.read_text()) == json.loads(json.dumps(found.to_json()))
    text = capsys.readouterr().out
    scores = found.scores
    assert f"accuracy {scores.accuracy:.1f} %, mIoU {scores.miou:.1f} %" in text
    assert "(3 pictures, 64 px, crop none, K = 3, majority (many-to-one" in text
    assert "with fresh centroids, mean and sd of 2: accuracy" in text
    for name in scores.classes:
        assert name in text


def test_both_views_of_the_reference_are_shown(
    runs: dict[str, Path], scenes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["evaluate", str(runs["reference"]), str(scenes), "--split", "val", "--quiet"])
    assert "with the centroids of view 2: accuracy" in capsys.readouterr().out


def test_names_of_classes_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    protocol = {"images": 1, "size": 32, "crop": "none", "clusters": 2, "centroids": "mine"}
    names = ["road [/paved]", "sky [bold]", "never"]
    found = score(np.array([[4, 0], [1, 5], [0, 0]]), names, protocol=protocol)
    show(Evaluation(found))
    text = capsys.readouterr().out
    rows = {name: next(line for line in text.splitlines() if name in line) for name in names}
    assert [cell.strip() for cell in rows["road [/paved]"].split("│")[2:4]] == ["80.0", "0"]
    assert [cell.strip() for cell in rows["sky [bold]"].split("│")[2:4]] == ["83.3", "1"]
    assert [cell.strip() for cell in rows["never"].split("│")[2:4]] == ["-", ""]
    assert "accuracy 90.0 %, mIoU 81.7 %" in text


def test_unreadable_pictures_are_named(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for name in ("a", "b"):
            Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / folder / f"{name}.png")
    (tmp_path / "images" / "b.png").write_text("no picture")
    (tmp_path / "classes.txt").write_text("sky\n")
    main(["evaluate", str(runs["default"]), str(tmp_path)])
    assert capsys.readouterr().err.count("b.png: cannot be read as a picture") == 1


def test_fewer_than_no_fresh_clusters(
    failure: Callable[..., tuple[int, str]], runs: dict[str, Path], scenes: Path
) -> None:
    code, text = failure("evaluate", runs["default"], scenes, "--fresh-clusters", "-1")
    assert code == 2
    assert "--fresh-clusters -1: give 0 or more" in text

"""`picie evaluate`: the table and the file."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie.cli.app import main
from picie.cli.evaluate import show
from picie.evaluation.scoring import Evaluation, evaluate
from picie.inference.segmenter import Segmenter
from picie.metrics.groups import READINGS
from picie.metrics.scores import score

PROTOCOL = {"images": 1, "size": 32, "crop": "none", "clusters": 2, "centroids": "mine"}


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
    assert "(3 images, 64 px, crop none, K = 3, majority (many-to-one" in text
    assert "with fresh centroids, mean and sd of 2: accuracy" in text
    for name in scores.classes:
        assert name in text


def test_both_views_of_the_reference_are_shown(
    runs: dict[str, Path], scenes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["evaluate", str(runs["reference"]), str(scenes), "--split", "val", "--quiet"])
    assert "with the centroids of view 2: accuracy" in capsys.readouterr().out


def test_names_of_classes_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["road [/paved]", "sky [bold]", "never"]
    found = score(np.array([[4, 0], [1, 5], [0, 0]]), names, protocol=PROTOCOL)
    show(Evaluation(found))
    text = capsys.readouterr().out
    rows = {name: next(line for line in text.splitlines() if name in line) for name in names}
    cells = {
        name: [cell.strip() for cell in row.split("│")[2:7]] for name, row in rows.items()
    }  # IoU, recall, precision, share, clusters
    assert cells["road [/paved]"] == ["80.0", "100.0", "80.0", "40.0", "0"]
    assert cells["sky [bold]"] == ["83.3", "83.3", "100.0", "60.0", "1"]
    assert cells["never"] == ["-", "-", "-", "0.0", ""]
    assert "accuracy 90.0 %, mIoU 81.7 %" in text
    assert "reading" not in text
    assert "probe" not in text
    assert "interval" not in text


def test_unreadable_images_are_named(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for name in ("a", "b"):
            Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / folder / f"{name}.png")
    (tmp_path / "images" / "b.png").write_text("no image")
    (tmp_path / "classes.txt").write_text("sky\n")
    main(["evaluate", str(runs["default"]), str(tmp_path)])
    assert capsys.readouterr().err.count("b.png: cannot be read as an image") == 1


def test_fewer_than_no_fresh_clusters(
    failure: Callable[..., tuple[int, str]], runs: dict[str, Path], scenes: Path
) -> None:
    code, text = failure("evaluate", runs["default"], scenes, "--fresh-clusters", "-1")
    assert code == 2
    assert "--fresh-clusters -1: give 0 or more" in text


def test_readings_of_groups_are_named_and_explained(capsys: pytest.CaptureFixture[str]) -> None:
    matrix = np.array([[6, 2, 2], [1, 5, 4], [0, 0, 9]])
    groups = {"things": (0, 1), "stuff": (2,)}
    show(Evaluation(score(matrix, ["a", "b", "c"], groups=groups, protocol=PROTOCOL)))
    text = capsys.readouterr().out
    lines = [[cell.strip() for cell in line.split("│")[1:5]] for line in text.splitlines()]
    assert ["things", "78.6", "64.6", "block"] in lines  # 11 / 14; 6 / 9 and 5 / 8
    assert ["things", "55.0", "48.1", "rows"] in lines  # 11 / 20; 6 / 11 and 5 / 12
    assert sum(bool(set(line) & set(READINGS)) for line in lines) == 6
    assert "not comparable with one another" in text
    for reading, meaning in READINGS.items():
        assert f"  {reading}: {meaning}" in text


def test_intervals_and_probes_are_shown_and_written(
    runs: dict[str, Path], scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, image = tmp_path / "scores.json", tmp_path / "new folder" / "confusion.png"
    args = ["--split", "val", "--bootstrap", "100", "--bootstrap-rematch", "--seed", "3"]
    args += ["--probe", "both", "--probe-split", "train", "--neighbours", "5"]
    files = [f"--json={file}", f"--confusion={image}"]
    main(["evaluate", str(runs["default"]), str(scenes), *args, *files])
    out, err = capsys.readouterr()
    assert "95 % interval over 100 resamples of 3 images: accuracy" in out
    assert "(matching: again in each resample)" in out
    assert "probe (USES LABELS)" in out
    assert "  linear: multinomial logistic regression by L-BFGS on" in out
    values = json.loads(file.read_text())
    assert (values["bootstrap"]["resamples"], values["bootstrap"]["seed"]) == (100, 3)
    assert [one["uses_labels"] for one in values["probes"].values()] == [True, True]
    assert "votes of the 5 most similar" in values["probes"]["knn"]["protocol"]["probe"]
    with Image.open(image) as drawn:
        assert drawn.format == "PNG"
    assert f"confusion matrix in {image}" in err


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--confusion", "matrix.jpg"], 2, "--confusion matrix.jpg: give a file that ends in .png"),
        (
            ["--bootstrap", "10"],
            2,
            "a bootstrap of 10 resamples is too small; give 100 or more, or 0",
        ),
        (["--bootstrap-rematch"], 2, "add --bootstrap 1000, or remove --bootstrap-rematch"),
        (["--probe", "linear"], 2, "(--probe-split train)"),
        (["--probe-split", "train"], 2, "add --probe linear, knn or both, or remove"),
        (["--probe=knn", "--probe-split=train", "--neighbours=0"], 2, "0 neighbours cannot vote"),
        (["--probe=knn", "--probe-split=train"], 1, "6 images are both in the probe split 'train'"),
        (["--seed", "-1"], 2, "seed -1: give 0 or more"),
    ],
)
def test_options_that_do_not_go_together(
    failure: Callable[..., tuple[int, str]],
    runs: dict[str, Path],
    scenes: Path,
    flags: list[str],
    code: int,
    message: str,
) -> None:
    found = failure("evaluate", runs["default"], scenes, *flags)
    assert found[0] == code
    assert message in found[1]


def test_scores_with_another_number_of_clusters(
    runs: dict[str, Path], scenes: Path, tmp_path: Path
) -> None:
    file = tmp_path / "scores.json"
    flags = ["--split=val", "--clusters=8", "--match=majority", f"--json={file}", "--quiet"]
    main(["evaluate", str(runs["default"]), str(scenes), *flags])
    assert json.loads(file.read_text())["protocol"]["K"] == 8


def test_post_processing_is_named_in_the_protocol(
    runs: dict[str, Path], scenes: Path, tmp_path: Path
) -> None:
    file = tmp_path / "scores.json"
    flags = ["--scales", "1", "1.5", "--refine=2", f"--json={file}", "--quiet", "--split=val"]
    main(["evaluate", str(runs["default"]), str(scenes), *flags])
    named = json.loads(file.read_text())["protocol"]["post_processing"]
    assert named == "mean of scales 1 1.5, 2 iterations of boundary refinement"

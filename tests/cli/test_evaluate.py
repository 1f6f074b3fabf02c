"""`picie evaluate`: the table and the file."""

import json
import os
import shutil
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
from picie.models.class_names import ClassNames, write_classes

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
    assert "(3 images, 64 px, crop none, K = 3, matching majority (many-to-one" in text
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


@pytest.mark.parametrize("count", ["-1", "1001"])
def test_impossible_numbers_of_fresh_clusters(
    failure: Callable[..., tuple[int, str]], runs: dict[str, Path], scenes: Path, count: str
) -> None:
    code, text = failure("evaluate", runs["default"], scenes, "--fresh-clusters", count)
    assert code == 2
    assert f"--fresh-clusters {count}: give 0 to 1000" in text


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
        (["--seed", "-1"], 2, "--seed -1: give a whole number from 0 to"),
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


def test_a_dash_writes_the_scores_to_standard_output_and_the_table_to_standard_error(
    runs: dict[str, Path],
    scenes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["evaluate", str(runs["default"]), str(scenes), "--split", "val", "--json", "-"])
    out, err = capsys.readouterr()
    values = json.loads(out)
    assert f"accuracy {values['accuracy']:.1f} %, mIoU {values['miou']:.1f} %" in err
    assert list(tmp_path.iterdir()) == []


def test_earlier_scores_are_replaced(runs: dict[str, Path], scenes: Path, tmp_path: Path) -> None:
    files = [f"--json={tmp_path / 'a.json'}", f"--confusion={tmp_path / 'a.png'}"]
    for split in ("val", "train"):
        main(["evaluate", str(runs["default"]), str(scenes), f"--split={split}", "--quiet", *files])
    assert json.loads((tmp_path / "a.json").read_text())["protocol"]["split"] == "train"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--json=mine.json"], "mine.json: already exists and was not written by this command"),
        (["--json=list.json"], "choose another --json, or remove the file"),
        (["--confusion=mine.png"], "mine.png: already exists and was not written by this command"),
        (["--confusion=hard.png"], "hard.png: is a file that this command reads"),
        (["--confusion=soft.png"], "soft.png: is a file that this command reads"),
        (["--json=linked/classes.txt"], "classes.txt: is a file that this command reads"),
        (["--json=linked/masks/scene_0006.png"], "scene_0006.png: is a file that this command re"),
        (["--json=config.json"], "config.json: is a file that this command reads"),
        (["--json=/dev/null"], "/dev/null: is no regular file, and is not replaced"),
        (["--json=linked"], "--json linked: is a folder"),
        (["--json=a.png", "--confusion=a.png"], "would be both --json and --confusion"),
    ],
)
def test_no_file_of_others_is_replaced(
    failure: Callable[..., tuple[int, str]],
    runs: dict[str, Path],
    scenes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.json").write_text('{"miou": 1}')
    Path("list.json").write_text("[]")
    Image.new("L", (2, 2)).save("mine.png")
    os.link(scenes / "masks" / "scene_0006.png", "hard.png")
    os.link(runs["default"] / "config.json", "config.json")
    Path("soft.png").symlink_to(scenes / "images" / "scene_0006.jpg")
    Path("linked").symlink_to(scenes)
    files = [*tmp_path.rglob("*.*"), *scenes.rglob("*.*"), *runs["default"].iterdir()]
    before = {path: path.read_bytes() for path in files if path.is_file()}
    code, text = failure("evaluate", runs["default"], scenes, "--split=val", *flags)
    assert code == 2
    assert message in text
    assert {path: path.read_bytes() for path in before} == before
    assert len([*tmp_path.rglob("*.*")]) == 6


def test_names_are_scored_and_said(
    runs: dict[str, Path], scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, file = shutil.copytree(runs["default"], tmp_path / "run"), tmp_path / "scores.json"
    args = ["evaluate", str(run), str(scenes), "--split", "val", "--quiet"]
    main(args)
    before = capsys.readouterr().out
    said = "crop center, K = 3, matching hungarian (one-to-one), clustered on unaugmented images)"
    assert said in before
    names = ClassNames.of(3, {"Sky": [0], "road": [1]})
    write_classes(run / "classes.toml", names)
    for flag in ("--clusters-only", "--no-named"):
        main([*args, flag])
        assert capsys.readouterr().out == before
    main([*args, f"--json={file}", f"--confusion={tmp_path / 'matrix.png'}"])
    text = capsys.readouterr().out
    assert "named (USES NAMES)" in text
    assert "(USES NAMES, 3 images, 32 px, crop center, classes found by name)" in text
    assert "of the labelled pixels are in no class (cluster 2 " in text
    assert "note: in classes.txt, but not named in the model: building, vegetation" in text
    values = json.loads(file.read_text())
    assert values["protocol"]["uses_names"] is True
    assert values["mapping"] == {"0": "sky", "1": "road", "2": None}
    main([*args, "--named"])
    assert capsys.readouterr().out == text


def test_void_is_shown(
    runs: dict[str, Path],
    scenes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    failure: Callable[..., tuple[int, str]],
) -> None:
    folder = shutil.copytree(scenes, tmp_path / "scenes")
    for path in (folder / "masks").iterdir():
        mask = np.array(Image.open(path))
        mask[:, :16] = 255
        Image.fromarray(mask).save(path)
    args = ["evaluate", str(runs["default"]), str(folder), "--split=val", "--crop=none", "--quiet"]
    main(args)
    assert "void: 25.0 % of the pixels, not scored\n" in capsys.readouterr().out
    main([*args, "--mask-map", "255=1", "0=void"])
    assert "void: 25.0 %" not in capsys.readouterr().out
    assert "holds the ids 255" in failure(*args, "--void", "none")[1]
    assert "--named and --clusters-only" in failure(*args, "--named", "--clusters-only")[1]
    message = failure(*args, "--named", "--clusters", "2")[1]
    assert "the model has no names" in message

"""`picie teach`."""

import shutil
from pathlib import Path

import pytest

from picie.cli.app import main
from picie.inference.segmenter import load
from picie.runs import TAUGHT_FOLDER


@pytest.fixture
def run(runs: dict[str, Path], tmp_path: Path) -> Path:
    shutil.copytree(runs["default"], tmp_path / "run")
    return tmp_path / "run"


def test_it_says_what_was_learnt_from_and_where_the_model_is(
    run: Path, scenes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["teach", str(run), "--images", str(scenes), "--from", str(scenes)])
    said = capsys.readouterr().err
    assert "labelled images" in said
    assert f"picie predict {run / TAUGHT_FOLDER} {scenes} --out masks/taught/" in said
    assert load(run / TAUGHT_FOLDER).labels is not None


def test_a_taught_model_predicts_exports_and_evaluates(
    run: Path, scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["teach", str(run), "--images", str(scenes), "--from", str(scenes), "--quiet"])
    taught = str(run / TAUGHT_FOLDER)
    main(["predict", taught, str(scenes / "images"), "--out", str(tmp_path / "masks")])
    assert list((tmp_path / "masks").glob("*.png"))
    main(["evaluate", taught, str(scenes), "--split", "val"])
    assert "taught with labels" in capsys.readouterr().out
    main(["report", taught, str(scenes / "images"), "--out", str(tmp_path / "report.html")])
    assert "taught with labels" in (tmp_path / "report.html").read_text("utf-8")
    main(["export", taught, "--model", "torch", "--out", str(tmp_path / "model.pt2")])
    assert (tmp_path / "model.pt2").exists()


def test_the_images_of_the_training_are_the_default(run: Path, scenes: Path) -> None:
    main(["teach", str(run), "--from", str(scenes), "--quiet"])
    assert load(run / TAUGHT_FOLDER).labels is not None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "no stroke or area to learn from; draw some in picie studio, or give labelled"),
        (["--annotations", "gone.jsonl"], "gone.jsonl: no such file or run folder"),
        (["--images", "gone"], "gone"),
        (["--from", "gone"], "gone"),
    ],
)
def test_bad_input_is_a_message(
    run: Path, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["teach", str(run), *flags])
    assert stopped.value.code in (1, 2)
    assert message in capsys.readouterr().err
    assert not (run / TAUGHT_FOLDER).exists()

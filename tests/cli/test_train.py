"""`picie train`: what reaches the run folder."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from picie.cli.app import main
from picie.config import read_config
from picie.data.datasets.registry import DATASETS


def test_flags_and_preset_reach_the_run(scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    sizes = "--size 64 --base-size 64 --epochs 0 --clusters 3 --batch-size 4 --feature-size 8"
    machine = "--backbone test_efficientnet --no-pretrained --device cpu --workers 0 --quiet"
    named = ["--out", str(out), "--preset", "reference", "--split", "val"]
    main(["train", str(scenes), *named, *sizes.split(), *machine.split()])
    config = read_config(out / "config.toml")
    assert (config.balance, config.size, config.clusters) == ("frequency", 64, 3)
    assert (config.data, config.split) == (str(scenes), "val")
    assert (out / "model.safetensors").exists()


def test_the_command_line_and_the_function_train_the_same(
    scenes: Path,
    flags: Callable[[str], list[str]],
    runs: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(scenes.parent)  # a path may be relative; the run keeps it whole
    main(["train", scenes.name, "--out", str(tmp_path / "run"), *flags("default")])
    weights = (tmp_path / "run" / "model.safetensors").read_bytes()
    assert weights == (runs["default"] / "model.safetensors").read_bytes()
    assert Path(read_config(tmp_path / "run" / "config.toml").data) == scenes


def test_a_run_is_replaced_only_if_asked(
    scenes: Path,
    flags: Callable[[str], list[str]],
    failure: Callable[..., tuple[int, str]],
    tmp_path: Path,
) -> None:
    args = ["train", str(scenes), "--out", str(tmp_path / "run"), *flags("default"), "--epochs=0"]
    main(args)
    code, text = failure(*args)
    assert code == 2
    assert "already holds a run; choose another --out" in text
    main([*args, "--overwrite"])


def test_no_input_is_replaced(
    failure: Callable[..., tuple[int, str]], runs: dict[str, Path], scenes: Path, tmp_path: Path
) -> None:
    run, photos = tmp_path / "run", tmp_path / "run" / "tensorboard" / "photos"
    shutil.copytree(runs["default"], run)
    photos.mkdir(parents=True)
    Image.new("RGB", (80, 64)).save(photos / "a.jpg")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    (tmp_path / "link.toml").symlink_to(run / "config.toml")
    weights = run / "model.safetensors"
    for given in (
        [photos],
        [scenes, "--config", run / "config.toml"],
        [scenes, "--config", tmp_path / "link.toml"],
        [scenes, "--backbone-weights", weights, "--no-pretrained"],
    ):
        code, text = failure("train", *given, "--out", run, "--overwrite", "--quiet")
        assert code == 2
        assert "this command reads" in text
        assert {path: path.read_bytes() for path in before} == before


def test_progress_is_said_unless_quiet(
    scenes: Path,
    flags: Callable[[str], list[str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    args = ["train", str(scenes), *flags("default"), "--epochs=1"]
    main([*args, "--out", str(tmp_path / "quiet")])
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""
    loud = [arg for arg in args if arg != "--quiet"]
    main([*loud, "--out", str(tmp_path / "loud")])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "6 images, 3 clusters, test_efficientnet on cpu" in captured.err
    assert "epoch 1/1: loss" in captured.err
    main(["train", "--resume", str(tmp_path / "loud"), "--workers", "0"])
    assert "loud: is finished (1 epochs); nothing to resume" in capsys.readouterr().err
    (tmp_path / "loud" / "config.json").unlink()
    main(["train", "--resume", str(tmp_path / "loud"), "--workers", "0"])
    assert "resuming" in capsys.readouterr().err


@pytest.fixture
def camvid(scenes: Path, tmp_path: Path) -> Path:
    """The scenes in the tree of a known data set; their three ids are three of its classes."""
    for split in ("train", "val"):
        for name in (scenes / f"{split}.txt").read_text().split():
            for folder, kind, ending in (("", "images", "jpg"), ("annot", "masks", "png")):
                path = tmp_path / "camvid" / f"{split}{folder}" / f"{name}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                with Image.open(scenes / kind / f"{name}.{ending}") as image:
                    image.save(path)
    return tmp_path / "camvid"


def test_a_known_data_set_is_trained_on_and_scored(
    camvid: Path, flags: Callable[[str], list[str]], tmp_path: Path
) -> None:
    out, named = str(tmp_path / "run"), ["--dataset", "camvid11"]
    args = [*flags("default"), "--epochs=1", "--eval-split=val"]
    main(["train", str(camvid), "--out", out, *args, *named])
    config = read_config(tmp_path / "run" / "config.toml")
    assert (config.dataset, config.split) == ("camvid11", "train")
    [record] = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    score = json.loads(record)["miou"]
    file = tmp_path / "scores.json"
    for extra in ([], ["--fresh-clusters=1"]):
        also = ["--split=val", "--size=32", f"--json={file}", "--quiet", *extra]
        main(["evaluate", out, str(camvid), *named, *also])
        found = json.loads(file.read_text())
        assert found["miou"] == pytest.approx(score, abs=1e-6)
        assert len(found["classes"]) == 11
        assert (found["protocol"]["dataset"], found["protocol"]["images"]) == ("camvid11", 3)
    main(["train", "--resume", out, "--quiet"])


def test_a_known_data_set_is_checked_before_the_run_begins(
    camvid: Path,
    flags: Callable[[str], list[str]],
    failure: Callable[..., tuple[int, str]],
    tmp_path: Path,
) -> None:
    args = ["train", str(camvid), "--out", str(tmp_path / "run"), *flags("default")]
    code, text = failure(*args, "--dataset=camvid")
    assert code == 2
    assert "unknown data set 'camvid'; did you mean 'camvid11'?" in text
    code, text = failure(*args, "--dataset=camvid11", "--split=trainn")
    assert code == 2
    assert "camvid11: unknown split 'trainn'; did you mean 'train'?" in text
    code, text = failure(*args, "--dataset=camvid11", "--eval-split=vall")
    assert "camvid11: unknown split 'vall'" in text
    assert not (tmp_path / "run").exists()


def test_help_lists_the_known_data_sets(capsys: pytest.CaptureFixture[str]) -> None:
    for verb, flag in (("train", "--help-all"), ("evaluate", "--help")):
        with pytest.raises(SystemExit):
            main([verb, flag])
        text = capsys.readouterr().out
        assert [name for name in DATASETS if name not in text] == []

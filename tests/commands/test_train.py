"""`picie train`: what reaches the run folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from picie.cli import main
from picie.config import read_config


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
    assert "6 pictures, 3 clusters, test_efficientnet on cpu" in captured.err
    assert "epoch 1/1: loss" in captured.err
    main(["train", "--resume", str(tmp_path / "loud"), "--workers", "0"])
    assert "resuming" in capsys.readouterr().err

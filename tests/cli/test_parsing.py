"""Flags of `train`: where their defaults come from, and which of them win."""

from pathlib import Path
from typing import Any

import pytest

from picie.cli.app import parse, parse_train
from picie.cli.arguments import Predict
from picie.config import PRESETS, Config, make_config
from picie.errors import ConfigError
from picie.runs import Run

BASE = ["photos", "--out", "run"]


def settings(*flags: str) -> Config:
    return parse_train([*BASE, *flags])[1]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_sets_the_defaults(preset: str) -> None:
    assert settings("--preset", preset) == make_config(preset, data="photos")
    assert settings(f"--preset={preset}") == make_config(preset, data="photos")


def test_no_flag_is_the_default_preset() -> None:
    options, config = parse_train(BASE)
    assert config == make_config(data="photos")
    assert (options.data, options.out) == (Path("photos"), Path("run"))
    assert (options.overwrite, options.quiet) == (False, False)


def test_flags_override_the_preset_wherever_they_stand() -> None:
    expected = make_config("reference", data="photos", size=64, unit_features=False)
    flags = ["--size", "64", "--no-unit-features"]
    assert settings(*flags, "--preset", "reference") == expected
    assert settings("--preset=reference", *flags) == expected


def test_every_setting_is_a_flag() -> None:
    changes: dict[str, Any] = {
        "clusters": 5,
        "seed": 3,
        "epochs": 0,
        "backbone": "resnet18",
        "temperature": 0.5,
        "balance": "inverse",
        "split": "val",
        "kmeans_init": "pca",
    }
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in changes.items()]
    assert settings(*flags) == make_config(data="photos", **changes)
    assert settings("--no-pretrained", "--no-unit-features", "--similarity=l2", "--compile") == (
        make_config(
            data="photos", pretrained=False, unit_features=False, similarity="l2", compile=True
        )
    )
    assert settings("--objective=iic", "--unit-features").unit_features


def test_flags_override_the_config_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('preset = "reference"\nclusters = 5\nsize = 96\ndata = "there"\n')
    made = make_config("reference", clusters=5, size=64, data="photos")
    assert settings("--config", str(file), "--size", "64") == made
    _, config = parse_train(["--out", "run", f"--config={file}"])
    assert (config.data, config.size, config.balance) == ("there", 96, "frequency")


def test_a_value_is_no_flag() -> None:
    assert parse_train(["photos", "--out", "preset"])[1] == make_config(data="photos")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    config = make_config("reference", data="/photos", clusters=5, device="cpu", workers=3)
    return Run.create(tmp_path / "run", config, version="0").folder


def test_a_resumed_run_has_its_own_settings(run: Path) -> None:
    options, config = parse_train(["--resume", str(run), "--quiet"])
    assert options.resume == run
    assert options.quiet
    assert config == Run.open(run).config
    machine = parse_train([f"--resume={run}", "--device", "cuda", "--workers", "0"])[1]
    assert machine == config.model_copy(update={"device": "cuda", "workers": 0})


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--epochs", "3"], "leave out --epochs, or"),
        (["--learning-rate=1", "--seed", "1"], "leave out --seed, --learning-rate, or"),
        (["other"], "leave out PHOTOS, or"),
        (["--out", "there"], "leave out --out, or"),
        (["--overwrite"], "leave out --overwrite, or"),
        (["--preset", "paper"], "leave out --preset, --config"),
        (["--config", "mine.toml"], "leave out --preset, --config"),
    ],
)
def test_a_resumed_run_takes_no_other_settings(run: Path, flags: list[str], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        parse_train([*flags, "--resume", str(run)])


def test_defaults_of_predict() -> None:
    options = parse(Predict, ["run", "photo.jpg", "--out", "masks"])
    assert options == Predict(Path("run"), Path("photo.jpg"), Path("masks"))
    assert (options.overlay, options.overwrite) == (False, False)


def test_an_objective_sets_defaults_as_a_preset_does(tmp_path: Path) -> None:
    assert settings("--objective", "frozen") == make_config(data="photos", objective="frozen")
    flags = ["--preset=reference", "--objective=mdc"]
    assert settings(*flags) == make_config("reference", data="photos", objective="mdc")
    own = make_config("reference", data="photos", objective="mdc", final_centroids="trained")
    assert settings(*flags, "--final-centroids=trained") == own
    file = tmp_path / "own.toml"
    file.write_text("clusters = 5\n")
    found = settings("--config", str(file), "--objective", "iic")
    assert found == make_config(data="photos", clusters=5, objective="iic")

import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from picie.config import PRESETS, Config, make_config, read_config, write_config
from picie.errors import ConfigError

# What the authors' code does, revision c3aa029.
PUBLISHED: dict[str, Any] = {
    "clusters": 27,
    "epochs": 10,
    "batch_size": 128,
    "kmeans_batch_size": 0,  # twice the training batch: 256
    "learning_rate": 1e-4,
    "size": 320,
    "base_size": 640,
    "eval_size": 320,
    "feature_size": 128,
    "decoder_init": "random",
    "brightness": 0.3,
    "contrast": 0.3,
    "saturation": 0.3,
    "hue": 0.1,
    "jitter_chance": 0.8,
    "grayscale": 0.0,
    "blur": 0.5,
    "colour_rule": "stepwise",
    "blur_rule": "authors",
    "crop_min": 0.5,
    "crop_max": 1.0,
    "flip": 0.5,
    "crop_rule": "rounded",
    "crop_antialias": False,
    "kmeans_metric": "euclidean",
    "kmeans_init": "random",
    "kmeans_iterations": 20,
    "kmeans_images": 20 * 256,
    "kmeans_pixels": 256,
    "kmeans_update": False,
    "kmeans_batchnorm": "batch",
    "overclusters": 0,
    "final_centroids": "trained",
    "label_rule": "l2",
    "logit_rule": "dot",
    "predict_rule": "dot",
    "temperature": 1.0,
    "balance": "frequency",
    "backbone_rate": 1.0,
    "batchnorm": "batch",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_reference_holds_the_published_value(name: str) -> None:
    assert getattr(make_config("reference"), name) == PUBLISHED[name]


def test_paper_differs_from_reference_where_the_text_differs_from_the_code() -> None:
    paper, reference = (make_config(p).model_dump() for p in ("paper", "reference"))
    assert {k: v for k, v in paper.items() if v != reference[k]} == {
        "grayscale": 0.2,
        "blur_rule": "uniform",
        "crop_rule": "aligned",
        "crop_antialias": True,
        "kmeans_metric": "spherical",
        "kmeans_init": "k-means++",
        "kmeans_batchnorm": "running",
        "label_rule": "cosine",
        "logit_rule": "cosine",
        "predict_rule": "cosine",
        "balance": "inverse",
    }


def test_default_is_the_bare_model() -> None:
    assert make_config() == make_config("default") == Config()


@pytest.mark.parametrize("preset", PRESETS)
def test_every_field_says_what_it_is(preset: str) -> None:
    assert all(field.description for field in Config.model_fields.values())
    assert PRESETS[preset].keys() <= Config.model_fields.keys()


def test_settings_win_over_the_preset() -> None:
    config = make_config("reference", clusters=11, balance="none")
    assert (config.clusters, config.balance, config.epochs) == (11, "none", 10)
    assert make_config("reference").balance == "frequency"  # the preset itself is untouched


@pytest.mark.parametrize(
    ("clusters", "overclusters", "expected"),
    [(27, 64, 64), (40, 64, 80), (32, 64, 64), (27, 0, 27), (5, 1, 10)],
)
def test_number_of_centroids(clusters: int, overclusters: int, expected: int) -> None:
    assert make_config(clusters=clusters, overclusters=overclusters).num_centroids == expected


def test_a_config_is_frozen() -> None:
    config = make_config()
    with pytest.raises(ValidationError, match="frozen"):
        config.clusters = 3  # type: ignore[misc]
    assert hash(config) == hash(make_config())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"cluster": 3}, "unknown setting 'cluster'; did you mean 'clusters'?"),
        ({"learning_rat": 1}, "unknown setting 'learning_rat'; did you mean 'learning_rate'?"),
        ({"zzzz": 1}, "unknown setting 'zzzz'; known: data, split, "),
        ({"clusters": 1}, "clusters = 1: Input should be greater than or equal to 2"),
        ({"epochs": -1}, "epochs = -1: Input should be greater than or equal to 0"),
        ({"epochs": 2.5}, "epochs = 2.5: Input should be a valid integer"),
        ({"size": 100}, "size = 100: Input should be a multiple of 32"),
        ({"brightness": 1.0}, "brightness = 1.0: Input should be less than 1"),
        ({"flip": 1.2}, "flip = 1.2: Input should be less than or equal to 1"),
        ({"temperature": 0}, "temperature = 0: Input should be greater than 0"),
        ({"balance": "some"}, "balance = 'some': Input should be 'none', 'frequency' or"),
        ({"seed": "one"}, "seed = 'one': Input should be a valid integer"),
        ({"batch_size": 1}, "batch_size = 1: Input should be greater than or equal to 2"),
        ({"crop_min": 0.9, "crop_max": 0.5}, "crop_min is larger than crop_max"),
        ({"blur_min": 3.0}, "blur_min is larger than blur_max"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_it(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(**wrong)
    text = str(caught.value)
    assert text.startswith(f"settings: {message}")
    assert "\n" not in text
    assert "pydantic" not in text


def test_all_bad_settings_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(clusters=0, flp=1)
    assert "clusters = 0" in str(caught.value)
    assert "did you mean 'flip'?" in str(caught.value)


def test_an_unknown_preset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"^unknown preset 'referenc'; did you mean 'reference'"):
        make_config("referenc")
    with pytest.raises(ConfigError, match="known: default, best, reference, paper"):
        make_config("zzz")


@pytest.mark.parametrize("preset", PRESETS)
def test_a_config_survives_the_file(tmp_path: Path, preset: str) -> None:
    config = make_config(
        preset, data='photos/a "b"\\ç 写真', split="train", seed=7, learning_rate=3.3e-5, flip=0
    )
    path = tmp_path / "config.toml"
    write_config(config, path)
    assert read_config(path) == config
    assert tomllib.loads(path.read_text(encoding="utf-8")).keys() == Config.model_fields.keys()


def test_a_file_may_name_a_preset_and_change_it(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('preset = "reference"\nepochs = 3\n')  # a field that the preset sets too
    assert read_config(path) == make_config("reference", epochs=3)
    path.write_text("clusters = 11\n")
    assert read_config(path) == make_config(clusters=11)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clusters = ", "is not valid TOML"),
        ('preset = "refrence"', "unknown preset 'refrence'; did you mean 'reference'?"),
        ("preset = 3", "unknown preset 3; known: default, best, reference, paper"),
        ("epoch = 3", "unknown setting 'epoch'; did you mean 'epochs'?"),
        ("epochs = nan", "epochs = nan: Input should be a finite number"),
        ("[data]\nfolder = 'x'", "data = {'folder': 'x'}: Input should be a valid string"),
    ],
)
def test_a_bad_file_is_named_with_its_problem(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read \(No such file.*check"):
        read_config(missing)
    with pytest.raises(ConfigError, match=r"cannot be read \(Is a directory\)"):
        read_config(tmp_path)
    missing.write_bytes(b'data = "\xff\xfe"')
    with pytest.raises(ConfigError, match=r"none\.toml: is not valid TOML .*correct it"):
        read_config(missing)


@pytest.mark.parametrize("preset", PRESETS)
def test_an_objective_brings_settings_that_the_user_can_replace(preset: str) -> None:
    mdc = make_config(preset, objective="mdc")
    assert (mdc.classifier, mdc.final_centroids, mdc.views) == ("parametric", "clean", (0,))
    assert make_config(preset, objective="mdc", classifier="prototype").classifier == "prototype"
    frozen = make_config(preset, objective="frozen")
    assert (frozen.epochs, frozen.overclusters) == (0, 0)
    iic = make_config(preset, objective="iic")
    assert (iic.unit_features, iic.predict_rule, iic.final_centroids) == (False, "dot", "trained")
    assert make_config(preset, objective="picie") == make_config(preset)


def test_picie_h_clusters_twice() -> None:
    assert make_config("paper", clusters=27).levels == [(27, 27)]
    assert make_config("paper", objective="picie-h").levels == [(27, 27), (100, 100)]
    assert make_config(objective="picie-h", clusters=11).levels == [(64, 11), (100, 100)]


def test_a_config_file_may_name_its_objective(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('preset = "reference"\nobjective = "mdc"\n')
    assert read_config(path) == make_config("reference", objective="mdc")
    assert read_config(path, objective="picie") == make_config("reference")

import json
import re
import tomllib
import warnings
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Unpack, get_args, get_origin, get_type_hints

import pytest
import tomli_w
from pydantic import ValidationError

from picie.clustering.kmeans.kmeans import KMeans
from picie.config import (
    DEFAULT_BACKBONE,
    PRESETS,
    RETIRED,
    Config,
    Objective,
    Reading,
    Settings,
    TrainSettings,
    lost_settings,
    make_config,
    read_config,
    translate_settings,
    write_config,
)
from picie.errors import ConfigError
from picie.training.loop import train

ToToml = Callable[[Any], str]

# What the authors' code does, revision c3aa029.
PUBLISHED: dict[str, Any] = {
    "clusters": 27,
    "epochs": 10,
    "batch_size": 128,
    "sample_batch_size": 256,
    "learning_rate": 1e-4,
    "size": 320,
    "base_size": 640,
    "feature_size": 128,
    "decoder_init": "random",
    "jitter": 0.3,
    "hue": 0.1,
    "grayscale": 0.0,
    "blur": 0.5,
    "view_rule": "authors",
    "crop_min": 0.5,
    "flip": 0.5,
    "spherical": False,
    "kmeans_init": "random",
    "kmeans_images": 20 * 256,
    "kmeans_pixels": 256,
    "overclusters": 0,
    "final_centroids": "trained",
    "similarity": "dot",
    "label_rule": "l2",
    "predict_rule": "dot",
    "temperature": 1.0,
    "balance": "frequency",
    "backbone_rate": 1.0,
    "batchnorm": "batch",
}


def test_reference_holds_the_published_value() -> None:
    for name in PUBLISHED:
        assert getattr(make_config("reference"), name) == PUBLISHED[name]


def test_k_means_has_the_published_number_of_iterations() -> None:
    assert KMeans(2).max_iter == 20


def test_paper_differs_from_reference_where_the_text_differs_from_the_code() -> None:
    paper, reference = (make_config(p).model_dump() for p in ("paper", "reference"))
    assert {k: v for k, v in paper.items() if v != reference[k]} == {
        "grayscale": 0.2,
        "view_rule": "exact",
        "kmeans_init": "k-means++",
        "similarity": "cosine",
        "batchnorm": "training",
        "balance": "inverse",
    }


def test_there_are_few_settings() -> None:
    assert len(Config.model_fields) <= 51  # 50, and how images of other types are read


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
        ({"clusters": 1}, "clusters = 1: give a whole number from 2 to 4096"),
        ({"epochs": -1}, "epochs = -1: give a whole number from 0 to 1000000"),
        ({"epochs": 2.5}, "epochs = 2.5: give a whole number from 0 to 1000000"),
        ({"size": 100}, "size = 100: give a multiple of 32 from 32 to 8192"),
        ({"jitter": 1.0}, "jitter = 1.0: give a number from 0 to below 1"),
        ({"flip": 1.2}, "flip = 1.2: give a number from 0 to 1"),
        ({"temperature": 0}, "temperature = 0: give a number above 0 to 1000000"),
        ({"balance": "some"}, "balance = 'some': known: none, frequency, inverse"),
        (
            {"objective": "picee"},
            "objective = 'picee': did you mean 'picie'? Known: picie, picie-h, picie-within",
        ),
        ({"clusters": "9"}, "clusters = '9': give a whole number from 2 to 4096, without quotes"),
        ({"clusters": True}, "clusters = True: give a whole number from 2 to 4096"),
        ({"compile": "yes"}, "compile = 'yes': give true or false, without quotes"),
        ({"pretrained": 1}, "pretrained = 1: give true or false"),
        ({"backbone": 3}, "backbone = 3: give text of at most 4096 characters"),
        ({"split": "x" * 5000}, "split = 'xx"),
        ({"predict_scales": 2}, "predict_scales = 2: give one to 16 numbers from 0.25 to 4"),
        ({"predict_scales": ["1"]}, "predict_scales = ['1']: give one to 16 numbers from 0.25 to"),
        ({"backbone_layers": [1.5]}, "backbone_layers = 1.5: give a list of at most 64 whole"),
        ({"jitter": float("nan")}, "jitter = nan: give a number from 0 to below 1"),
        ({"kmeans_init": None}, "kmeans_init = None: known: k-means++, pca, random"),
        ({"batch_size": 1}, "batch_size = 1: give a whole number from 2 to 65536"),
        ({"unit_features": False}, "cosine similarity divides features by their length: set"),
        ({"predict_scales": (5,)}, "predict_scales = (5,): give one to 16 numbers from 0.25 to 4"),
        ({"brightness": 0.3}, "'brightness' is no longer a setting; use jitter for all three"),
        ({"kmeans_iterations": 9}, "'kmeans_iterations' is no longer a setting; it is always 20"),
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
        make_config(clusters=0, flp=1)  # type: ignore[call-arg]
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
        ("epochs = nan", "epochs = nan: give a whole number from 0 to 1000000"),
        ("[data]\nfolder = 'x'", "data = {'folder': 'x'}: give text of at most"),
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
    with pytest.raises(ConfigError, match=r"cannot be read \(it is a folder, not a"):
        read_config(tmp_path)
    missing.write_bytes(b'data = "\xff\xfe"')
    with pytest.raises(ConfigError, match=r"none\.toml: is not valid UTF-8 text .*correct it"):
        read_config(missing)


@pytest.mark.parametrize("preset", PRESETS)
def test_an_objective_brings_settings_that_the_user_can_replace(preset: str) -> None:
    mdc = make_config(preset, objective="mdc")
    assert (mdc.learns_classifier, mdc.final_centroids, mdc.views) == (True, "clean", (0,))
    kept = make_config(preset, objective="mdc", final_centroids="trained")
    assert (kept.final_centroids, kept.predict_rule) == ("trained", "dot")
    prototypes = make_config(preset, objective="mdc-prototypes")
    assert (prototypes.learns_classifier, prototypes.final_centroids) == (False, "clean")
    assert prototypes.views == (0,)
    frozen = make_config(preset, objective="frozen")
    assert (frozen.epochs, frozen.overclusters) == (0, 0)
    iic = make_config(preset, objective="iic")
    assert (iic.unit_features, iic.predict_rule, iic.final_centroids) == (False, "dot", "trained")
    assert make_config(preset, objective="picie") == make_config(preset)


def test_picie_h_clusters_twice() -> None:
    assert make_config("paper", clusters=27).levels == [(27, 27)]
    assert make_config("paper", objective="picie-h").levels == [(27, 27), (100, 100)]
    assert make_config(objective="picie-h", clusters=11).levels == [(64, 11), (100, 100)]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_backbone_brings_settings_that_the_user_can_replace(preset: str) -> None:
    small = "vit_small_patch14_dinov2.lvd142m"
    changed = make_config(preset).model_dump() | {"backbone": small, "size": 448, "base_size": 448}
    assert make_config(preset, backbone=small).model_dump() == changed
    kept = make_config(preset, backbone=small, size=224)
    assert (kept.size, kept.base_size) == (224, 448)
    assert make_config(preset, backbone=DEFAULT_BACKBONE) == make_config(preset)
    both = make_config(preset, backbone=small, objective="mdc")
    assert (both.size, both.final_centroids) == (448, "clean")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("vit_base_patch14_reg4_dinov2.lvd142m", 448),
        ("vit_small_patch14_dinov2", 448),  # with weights from a file
        ("vit_small_plus_patch16_dinov3_qkvb.lvd1689m", 512),
        ("vit_large_patch16_dinov3.sat493m", 512),
        ("convnext_tiny.dinov3_lvd1689m", 320),  # has stages, and the size of the default
        ("convnext_tiny.fb_in22k_ft_in1k", 320),
        ("vit_small_patch8_224.dino", 320),
        (DEFAULT_BACKBONE, 320),
    ],
)
def test_sizes_that_backbones_imply_are_whole_patches(name: str, size: int) -> None:
    config = make_config(backbone=name)
    assert (config.size, config.base_size) == (size, size)
    patch = re.search(r"_patch(\d+)", name)
    assert not patch or size % int(patch[1]) == 0


def test_a_config_file_may_name_its_backbone(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    small = "vit_small_patch16_dinov3.lvd1689m"
    path.write_text(f'clusters = 5\nbackbone = "{small}"\n')
    assert read_config(path) == make_config(backbone=small, clusters=5)
    assert read_config(path, backbone=DEFAULT_BACKBONE) == make_config(clusters=5)
    write_config(make_config(backbone=small, size=256), path)
    assert read_config(path) == make_config(backbone=small, size=256)
    path.write_text("backbone = 3\n")
    with pytest.raises(ConfigError, match="backbone"):
        read_config(path)


def test_a_config_file_may_name_its_objective(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text('preset = "reference"\nobjective = "mdc"\n')
    assert read_config(path) == make_config("reference", objective="mdc")
    assert read_config(path, objective="picie") == make_config("reference")


# --- settings of earlier versions

EARLIER: dict[str, Any] = {
    "data": "",
    "split": "",
    "dataset": "",
    "eval_split": "",
    "eval_size": 320,
    "clusters": 27,
    "seed": 0,
    "epochs": 2,
    "batch_size": 16,
    "size": 320,
    "base_size": 320,
    "backbone": "tf_efficientnet_lite0",
    "pretrained": True,
    "backbone_layers": [],
    "backbone_weights": "",
    "feature_size": 128,
    "decoder_init": "pca",
    "pca_origin": "balanced",
    "brightness": 0.3,
    "contrast": 0.3,
    "saturation": 0.3,
    "hue": 0.0,
    "jitter_chance": 0.8,
    "grayscale": 0.0,
    "blur": 0.5,
    "blur_min": 0.1,
    "blur_max": 2.0,
    "blur_rule": "uniform",
    "colour_rule": "stepwise",
    "crop_min": 0.5,
    "crop_max": 1.0,
    "flip": 0.5,
    "crop_rule": "aligned",
    "crop_antialias": True,
    "kmeans_metric": "spherical",
    "kmeans_init": "k-means++",
    "kmeans_iterations": 20,
    "kmeans_images": 256,
    "kmeans_pixels": 400,
    "kmeans_scales": [1.0],
    "kmeans_smoothing": 3,
    "kmeans_update": False,
    "kmeans_batchnorm": "running",
    "kmeans_batch_size": 0,
    "overclusters": 64,
    "merge_rule": "pixels",
    "final_centroids": "clean",
    "objective": "picie",
    "auxiliary_clusters": 100,
    "classifier": "prototype",
    "cross_view": True,
    "mse_weight": 0.0,
    "displacement": 1,
    "unit_features": True,
    "label_rule": "cosine",
    "logit_rule": "cosine",
    "predict_rule": "cosine",
    "predict_scales": [1.0],
    "refine": 0,
    "temperature": 0.1,
    "balance": "none",
    "learning_rate": 0.0001,
    "backbone_rate": 0.0,
    "batchnorm": "running",
    "device": "auto",
    "precision": "auto",
    "compile": False,
    "workers": -1,
    "cache_mb": 256,
    "cache_disk_mb": 20000,
    "cache_dir": "",
    "track": "",
    "track_images": 1,
}
"""All settings of the preset `default` of picie 0.1."""
EARLIER_PAPER: dict[str, Any] = {
    "epochs": 10,
    "batch_size": 128,
    "base_size": 640,
    "decoder_init": "random",
    "hue": 0.1,
    "grayscale": 0.2,
    "kmeans_images": 5120,
    "kmeans_pixels": 256,
    "kmeans_smoothing": 0,
    "overclusters": 0,
    "final_centroids": "trained",
    "temperature": 1.0,
    "balance": "inverse",
    "backbone_rate": 1.0,
    "batchnorm": "batch",
}
EARLIER_REFERENCE: dict[str, Any] = EARLIER_PAPER | {
    "grayscale": 0.0,
    "blur_rule": "authors",
    "crop_rule": "rounded",
    "crop_antialias": False,
    "kmeans_metric": "euclidean",
    "kmeans_init": "random",
    "kmeans_batchnorm": "batch",
    "label_rule": "l2",
    "logit_rule": "dot",
    "predict_rule": "dot",
    "balance": "frequency",
}
EARLIER_POST_PROCESSING = {"predict_scales": [1.0, 1.5], "refine": 10}
EARLIER_PRESETS: dict[str, dict[str, Any]] = {
    "default": EARLIER,
    "best": EARLIER | {"epochs": 4, **EARLIER_POST_PROCESSING},
    "reference": EARLIER | EARLIER_REFERENCE,
    "paper": EARLIER | EARLIER_PAPER,
}
EARLIER_OBJECTIVES: dict[str, dict[str, Any]] = {
    "picie": {},
    "picie-h": {"objective": "picie-h"},
    "mdc": {"objective": "mdc", "classifier": "parametric", "final_centroids": "clean"},
    "iic": {
        "objective": "iic",
        "unit_features": False,
        "predict_rule": "dot",
        "final_centroids": "trained",
    },
    "frozen": {
        "objective": "frozen",
        "epochs": 0,
        "overclusters": 0,
        "pca_origin": "mean",
        "kmeans_smoothing": 0,
    },
}


def translated(values: dict[str, Any], tmp_path: Path) -> tuple[Config, str]:
    """What config.toml gives, and the one warning about it."""
    path = tmp_path / "config.toml"
    path.write_text(tomli_w.dumps(values), encoding="utf-8")
    with pytest.warns(FutureWarning) as caught:
        config = read_config(path)
    [warning] = caught
    text = str(warning.message)
    assert text.startswith(f"{path}: written by an earlier picie; these settings no longer exist: ")
    assert text.endswith("; a finished model gives the same masks")
    assert "\n" not in text
    return config, text


@pytest.mark.parametrize("objective", EARLIER_OBJECTIVES)
@pytest.mark.parametrize("preset", EARLIER_PRESETS)
def test_an_earlier_preset_is_that_of_today(tmp_path: Path, preset: str, objective: str) -> None:
    values = EARLIER_PRESETS[preset] | EARLIER_OBJECTIVES[objective]
    config, warning = translated(values, tmp_path)
    kept: dict[str, Any] = {"objective": objective, "refine": 0}
    if preset == "best":
        kept |= EARLIER_POST_PROCESSING | {"epochs": 0 if objective == "frozen" else 4}
    assert config == make_config(preset, **kept)
    assert "training no longer offers" not in warning
    assert lost_settings(tmp_path / "config.toml") == {}
    # as model cards have it, and as JSON gives it back
    with pytest.warns(FutureWarning, match="config.json"):
        values = translate_settings(json.loads(json.dumps(values)), tmp_path / "config.json")
    assert make_config(**values) == config


@pytest.mark.parametrize("preset", EARLIER_PRESETS)
@pytest.mark.parametrize(
    ("own", "today"),
    [
        ({"brightness": 0.2, "contrast": 0.2, "saturation": 0.2}, {"jitter": 0.2}),
        ({"jitter_chance": 0}, {"jitter": 0, "hue": 0}),
        ({"kmeans_update": False, "eval_size": 32, "kmeans_batch_size": 4}, {}),
        ({"cross_view": False}, {"objective": "picie-within"}),
        ({"classifier": "parametric", "predict_rule": "dot"}, {"objective": "picie-parametric"}),
        ({"objective": "mdc", "classifier": "prototype"}, {"objective": "mdc-prototypes"}),
        ({"objective": "mdc", "crop_max": 1.0}, {"objective": "mdc"}),
        ({"objective": "mdc", "pca_origin": "balanced"}, {"objective": "mdc"}),
        ({"objective": "iic", "displacement": 1}, {"objective": "iic"}),
        ({"objective": "frozen", "pca_origin": "mean"}, {"objective": "frozen"}),
    ],
)
def test_a_file_of_an_earlier_version_may_hold_few_settings(
    tmp_path: Path, preset: str, own: dict[str, Any], today: dict[str, Any]
) -> None:
    if own.get("predict_rule") == "dot" and preset in ("default", "best"):
        today = today | {"similarity": "dot"}  # these keep no classifier: of the centroids
    config, _ = translated({"preset": preset} | own, tmp_path)
    if preset == "default":
        today = today | {"refine": 0}
    assert config == make_config(preset, **today)


def test_parts_of_a_rule_are_completed_by_the_preset_of_then(tmp_path: Path) -> None:
    reference, _ = translated(
        {"preset": "reference", "kmeans_batchnorm": "running", "kmeans_metric": "euclidean"},
        tmp_path,
    )
    assert reference == make_config("reference", batchnorm="training")
    paper, _ = translated({"preset": "paper", "kmeans_batchnorm": "batch"}, tmp_path)
    assert paper == make_config("paper", batchnorm="batch")


@pytest.mark.parametrize(
    ("own", "today", "lost"),
    [
        (
            {"kmeans_iterations": 50, "mse_weight": 0.5},
            {},
            "kmeans_iterations = 50, mse_weight = 0.5",
        ),
        ({"kmeans_scales": [1.0, 2.0]}, {}, "kmeans_scales = [1.0, 2.0]"),
        ({"contrast": 0.1}, {"jitter": 0.3}, "contrast = 0.1"),
        (
            {"brightness": 0, "contrast": 0, "saturation": 0, "jitter_chance": 0.5},
            {"jitter": 0},
            "",
        ),
        (
            {"brightness": 0, "contrast": 0, "saturation": 0, "jitter_chance": 0.5, "hue": 0.1},
            {"jitter": 0, "hue": 0.1},
            "jitter_chance = 0.5",
        ),
        ({"crop_rule": "rounded"}, {"view_rule": "authors"}, "blur_rule = 'uniform', crop_antial"),
        ({"blur_rule": "authors"}, {}, "blur_rule = 'authors'"),
        ({"crop_antialias": False}, {}, "crop_antialias = False"),
        ({"kmeans_batchnorm": "batch"}, {"batchnorm": "batch"}, "batchnorm = 'running'"),
        ({"batchnorm": "batch"}, {"batchnorm": "training"}, ""),
        ({"pca_origin": "mean"}, {}, "pca_origin = 'mean'"),
        ({"cross_view": False}, {"objective": "picie-within"}, ""),
        (
            {"cross_view": False, "classifier": "parametric"},
            {"objective": "picie-parametric"},
            "cross_view = False",
        ),
        (
            {"objective": "picie-h", "classifier": "parametric", "cross_view": False},
            {"objective": "picie-h"},
            "classifier = 'parametric', cross_view = False",
        ),
        ({"logit_rule": "dot"}, {}, "logit_rule = 'dot'"),
        (
            {"objective": "mdc", "classifier": "parametric", "logit_rule": "dot"},
            {"objective": "mdc"},
            "",
        ),
        (
            {"predict_rule": "l2", "logit_rule": "l2"},
            {"similarity": "l2"},
            "kmeans_metric = 'spherical', label_r",
        ),
        (
            {
                "predict_rule": "l2",
                "logit_rule": "l2",
                "label_rule": "l2",
                "kmeans_metric": "euclidean",
            },
            {"similarity": "l2"},
            "",
        ),
        (
            {"unit_features": False, "kmeans_metric": "euclidean"},
            {},
            "kmeans_metric = 'euclidean', unit_features = False",
        ),
    ],
)
def test_what_training_lost_is_named(
    tmp_path: Path, own: dict[str, Any], today: dict[str, Any], lost: str
) -> None:
    config, warning = translated(EARLIER | own, tmp_path)
    assert config == make_config(**today | {"refine": 0})
    assert config.predict_rule == own.get("predict_rule", "cosine")
    named = warning.partition("; training no longer offers ")[2]
    assert named.startswith(lost)
    assert bool(named) == bool(lost)
    assert bool(lost_settings(tmp_path / "config.toml")) == bool(lost)


RULES = ("cosine", "l2", "dot")
CHOICES: dict[str, tuple[Any, ...]] = {
    "objective": ("picie", "picie-h", "mdc", "iic", "frozen"),
    "classifier": ("prototype", "parametric"),
    "final_centroids": ("clean", "trained"),
    "epochs": (0, 1),
    "unit_features": (True, False),
    "kmeans_metric": ("spherical", "euclidean"),
    "label_rule": RULES,
    "logit_rule": RULES,
    "predict_rule": RULES,
}


def was_allowed(old: dict[str, Any]) -> bool:
    kept = old["final_centroids"] == "trained" and old["epochs"] > 0
    learnt = old["classifier"] == "parametric" or old["objective"] == "iic"
    plain = not old["unit_features"] and old["objective"] != "iic"
    return not (
        (old["objective"] == "frozen" and old["epochs"])
        or (kept and learnt and old["predict_rule"] != "dot")
        or (plain and old["kmeans_metric"] == "spherical")
    )


def test_every_model_of_an_earlier_version_predicts_as_it_did(tmp_path: Path) -> None:
    checked = 0
    for values in product(*CHOICES.values()):
        old = dict(zip(CHOICES, values, strict=True))
        if not was_allowed(old):
            continue
        with pytest.warns(FutureWarning):
            new = make_config(**translate_settings(EARLIER | old, tmp_path))
        assert new.predict_rule == old["predict_rule"], old
        if new.predict_rule != "cosine":  # which does not tell lengths
            assert new.unit_features == old["unit_features"], old
        checked += 1
    assert checked > 1000


def test_settings_of_today_pass_without_a_word(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for preset, objective in product(PRESETS, get_args(Objective)):
            config = make_config(preset, objective=objective)
            write_config(config, tmp_path / "config.toml")
            assert read_config(tmp_path / "config.toml") == config
            assert lost_settings(tmp_path / "config.toml") == {}
            values = config.model_dump()
            assert translate_settings(values, tmp_path) == values


def test_settings_of_today_win_beside_earlier_ones(tmp_path: Path) -> None:
    both = {"jitter": 0.1, "brightness": 0.2, "similarity": "l2", "label_rule": "dot"}
    config, _ = translated(both | {"view_rule": "exact", "crop_rule": "rounded"}, tmp_path)
    assert config == make_config(jitter=0.1, similarity="l2", refine=0)


@pytest.mark.parametrize("text", ["preset = [1]", "objective = 3", "objective = ['mdc']"])
def test_nonsense_beside_earlier_settings_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text + '\nclassifier = "parametric"\nlabel_rule = 3\nkmeans_scales = 1\n')
    with pytest.warns(FutureWarning), pytest.raises(ConfigError, match=text.split()[0]):
        read_config(path)


def refusal(path: Path) -> str:
    """The error of a config.toml, or "" if it can be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            read_config(path)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("key", [*Config.model_fields, *RETIRED, "preset", "unknown"])
def test_a_wrong_value_is_refused_with_file_and_key(
    tmp_path: Path, wrong_values: list[Any], toml: ToToml, key: str
) -> None:
    path, refused = tmp_path / "config.toml", 0
    for value in wrong_values:
        path.write_text(f"{key} = {toml(value)}\n", encoding="utf-8")
        message = refusal(path)
        refused += bool(message)
        if message:
            assert message.startswith(f"{path}: ")
            assert len(message) < 5000
            assert message.isprintable()
            assert key in message or key in RETIRED
    assert refused > len(wrong_values) / 2 or key in RETIRED


@pytest.mark.parametrize(
    "text",
    [
        "a\0 = 1",
        "clusters = 3\nclusters = 4",
        "[clusters]\nx = 1",
        "clusters.x = 1",
        "[[clusters]]",
        "clusters = 1979-05-27",
        'data = "\\u0000"',
        'data = "\\ud800"',
        "size = 0x" + "f" * 10_000,
        "size = " + "9" * 10_000,
        "[" + ".".join("abcdefghijklmnopqrstuvwxyz") + "]",
        "\n".join(f"key{number} = 1" for number in range(10_000)),
    ],
)
def test_a_hostile_file_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    message = refusal(path)
    assert message.startswith(f"{path}: ")
    assert len(message) < 5000
    assert message.isprintable()


@pytest.mark.parametrize(
    "settings",
    [
        {"size": 99_968},
        {"feature_size": 10**9},
        {"refine": 10**9},
        {"predict_scales": (1.0,) * 100_000},
        {"clusters": 5000},
        {"overclusters": 10**6},
        {"backbone": "x" * 5000},
        {"backbone_layers": tuple(range(100))},
        {"workers": 10**6},
        {"temperature": float("inf")},
        {"size": 8192, "overclusters": 512},
    ],
)
def test_what_costs_too_much_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        make_config(**settings)


def test_real_uses_are_far_from_the_limits() -> None:
    make_config(clusters=1000, overclusters=4000, size=1024, feature_size=2048)
    make_config("reference", batch_size=2048, epochs=10_000, kmeans_images=10**6, workers=128)
    make_config(size=4096, base_size=8192, predict_scales=(0.5, 1, 1.5, 2, 4), refine=100)


# --- how images are read


def test_a_reading_is_a_table_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    given = {"stretch": (0, 4095), "bands": (4, 3, 2), "pages": "all", "max_pixels": 10**9}
    config = make_config(reading=given)
    assert config.reading == Reading((0, 4095), (4, 3, 2), "all", 10**9)
    write_config(config, path)
    assert read_config(path) == config
    assert json.loads(json.dumps(config.model_dump())) == config.model_dump(mode="json")
    write_config(make_config(), path)
    assert "stretch" not in path.read_text()
    assert read_config(path) == make_config()
    path.write_text("clusters = 5\n")  # of an earlier version
    assert read_config(path).reading == Reading()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bands": [1, 2]}, "reading.bands = [1, 2]: give three bands (red, green, blue) or one"),
        ({"bands": [0]}, "reading.bands = [0]: give three bands"),
        ({"bands": [1, 2, 70_000]}, "give three bands"),
        ({"bands": ["1"]}, "reading.bands = ['1']: give three bands (red, green, blue) or one"),
        ({"bands": [True]}, "reading.bands = [True]: give three bands"),
        ({"stretch": [5, 2]}, "reading.stretch = [5, 2]: give the value that becomes black, then"),
        ({"stretch": [1, 1]}, "give the value that becomes black"),
        ({"stretch": [0, float("nan")]}, "reading.stretch = nan: give two finite numbers"),
        ({"stretch": [0, float("inf")]}, "give two finite numbers, the smaller one first"),
        ({"stretch": [0]}, "reading.stretch = [0]: give two finite numbers"),
        ({"max_pixels": 0}, "reading.max_pixels = 0: give a whole number from 1 to"),
        ({"max_pixels": 2_000_000_001}, "give a whole number from 1 to 2000000000"),
        ({"pages": "some"}, "reading.pages = 'some': known: first, all"),
        ({"strech": [0, 1]}, "unknown setting 'reading.strech'; did you mean 'reading.stretch'?"),
        (3, "reading = 3: give a table with stretch, bands, pages, max_pixels"),
    ],
)
def test_wrong_readings_are_named(given: Any, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        make_config(reading=given)
    assert message in str(error.value)


def test_editors_know_the_name_and_type_of_every_setting() -> None:
    def accepted(kind: Any) -> Any:
        if get_origin(kind) is tuple:
            return Sequence[get_args(kind)[0]]  # type: ignore[misc]  # a list will do
        return Reading | Mapping[str, Any] if kind is Reading else kind

    fields = {name: accepted(info.annotation) for name, info in Config.model_fields.items()}
    assert get_type_hints(Settings) == fields
    del fields["data"], fields["split"]  # which are parameters of train
    assert get_type_hints(TrainSettings) == fields
    assert make_config.__annotations__["settings"] == Unpack[Settings]
    assert train.__annotations__["settings"] == Unpack[TrainSettings]

"""Runs of every objective: what they learn, leave behind and survive."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from picie.errors import ConfigError
from picie.inference.segmenter import load
from picie.objectives.mdc import random_classifier
from picie.training.loop import resume, train

Settings = dict[str, dict[str, Any]]

# settings of `reference`, and the parts that the loss then has
SYSTEMS: dict[str, tuple[dict[str, Any], set[str]]] = {
    "picie-h": (
        {"objective": "picie-h", "auxiliary_clusters": 5},
        {"within", "cross", "within_auxiliary", "cross_auxiliary"},
    ),
    "mdc": ({"objective": "mdc"}, {"within"}),
    "mdc with prototypes": ({"objective": "mdc-prototypes"}, {"within"}),
    "iic": (
        {"objective": "iic", "auxiliary_clusters": 5},
        {"mutual_information", "mutual_information_auxiliary"},
    ),
    "parametric": ({"objective": "picie-parametric"}, {"within", "cross"}),
    "no cross-view": ({"objective": "picie-within"}, {"within"}),
    "euclidean": ({"unit_features": False, "similarity": "l2"}, {"within", "cross"}),
}
_OTHER = {"epoch", "loss", "effective_clusters", "cluster_shares", "images", "seconds"}


def run(scenes: Path, folder: Path, values: dict[str, Any], **changes: Any) -> Path:
    train(scenes, folder, **values | changes)
    return folder


def records(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def moved(folder: Path, start: Path) -> float:
    after, before = (load_file(path / "model.safetensors") for path in (folder, start))
    names = [name for name in after if name.startswith(("backbone", "decoder"))]
    return sum(float((after[name] - before[name]).abs().sum()) for name in names)


@pytest.fixture(scope="module")
def untrained(scenes: Path, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of no epochs; every objective begins with its backbone and decoder."""
    return run(scenes, tmp_path_factory.mktemp("start") / "run", settings["reference"], epochs=0)


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_system_learns_records_and_goes_on(
    scenes: Path, settings: Settings, untrained: Path, tmp_path: Path, system: str
) -> None:
    changes, parts = SYSTEMS[system]
    values = settings["reference"] | changes
    whole = run(scenes, tmp_path / "whole", values, epochs=2)
    for record in records(whole):
        assert set(record) - _OTHER - {"kmeans_objective"} == parts
        views = 1 if system.startswith("mdc") else 2
        assert [len(shares) for shares in record["cluster_shares"]] == [3] * views
        assert record["images"] == 6
    # cut off after the first epoch, then resumed: the same bytes
    cut = run(scenes, tmp_path / "cut", values, epochs=1)
    (cut / "config.json").unlink()
    config = cut / "config.toml"
    config.write_text(config.read_text().replace("epochs = 1\n", "epochs = 2\n"))
    resume(cut)
    weights = [(path / "model.safetensors").read_bytes() for path in (whole, cut)]
    assert weights[0] == weights[1]
    assert records(whole) == records(cut)
    # the network itself was trained, and what it predicts are the K clusters
    assert moved(whole, untrained) > 0
    mask = load(whole).predict(torch.rand(3, 48, 64))
    assert mask.shape == (48, 64)
    assert set(mask.flatten().tolist()) <= {0, 1, 2}
    assert json.loads((whole / "health.json").read_text())["pictures"] == 6


def test_frozen_trains_nothing(scenes: Path, settings: Settings, tmp_path: Path) -> None:
    values = {k: v for k, v in settings["default"].items() if k not in ("epochs", "overclusters")}
    model = train(scenes, tmp_path / "run", **values, objective="frozen")
    assert (model.config.epochs, model.config.overclusters) == (0, 0)
    assert records(tmp_path / "run") == [] if (tmp_path / "run/metrics.jsonl").exists() else True
    assert model.network.centroids.shape == (1, 3, 8)
    with pytest.raises(ConfigError, match="objective frozen trains nothing: set epochs to 0"):
        train(scenes, tmp_path / "other", **values, objective="frozen", epochs=2)
    assert not (tmp_path / "other").exists()


def test_a_learnt_classifier_is_what_predicts(
    scenes: Path, settings: Settings, tmp_path: Path
) -> None:
    # IIC predicts by its main head; a classifier that is trained is kept with its biases.
    for name, changes in (
        ("iic", {"objective": "iic", "auxiliary_clusters": 5}),
        ("parametric", {"objective": "picie-parametric"}),
    ):
        model = train(scenes, tmp_path / name, **settings["reference"] | changes)
        centroids, groups, offsets = model.network.view_centroids(0)
        assert offsets.any()
        images = torch.rand(1, 3, 32, 32)
        features = model.features(images)
        if model.config.unit_features:
            features = torch.nn.functional.normalize(features, dim=1)
        slow = torch.einsum("bdhw,kd->bkhw", features, centroids) + offsets[:, None, None]
        torch.testing.assert_close(model.logits(images), slow, atol=1e-4, rtol=1e-4)
        assert groups.tolist() == [0, 1, 2]


def test_the_classifier_of_mdc_starts_anew_in_each_epoch(
    scenes: Path, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Tensor] = []

    def draw(*args: Any) -> torch.nn.Linear:
        layer = random_classifier(*args)
        drawn.append(layer.weight.detach().clone())
        return layer

    monkeypatch.setattr("picie.training.targets.random_classifier", draw)
    train(scenes, tmp_path / "run", **settings["reference"] | {"objective": "mdc", "epochs": 2})
    assert len(drawn) == 2
    assert not torch.equal(drawn[0], drawn[1])
    assert all(float(one.abs().max()) < 0.1 for one in drawn)


def test_an_auxiliary_clustering_leaves_the_main_one_as_it_was(
    scenes: Path, settings: Settings, tmp_path: Path
) -> None:
    # same pixels, same starts: the first epoch's main clusters are those of plain PiCIE
    values = settings["reference"] | {"epochs": 1, "learning_rate": 1e-12}
    plain = train(scenes, tmp_path / "plain", **values)
    both = train(scenes, tmp_path / "both", **values, objective="picie-h", auxiliary_clusters=5)
    torch.testing.assert_close(both.network.centroids, plain.network.centroids)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"objective": "frozen"}, "set epochs to 0"),
        ({"unit_features": False}, "set similarity to l2 or dot"),
    ],
)
def test_settings_that_contradict_each_other_leave_no_run(
    scenes: Path, settings: Settings, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(scenes, tmp_path / "run", **settings["default"] | changes)
    assert not (tmp_path / "run").exists()

"""Health on runs, and on models whose health is known."""

import copy
import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from picie.clustering.linkage import build_tree
from picie.data.cache import CropCache
from picie.data.crop_loader import BaseCrops, image_loader
from picie.data.folder import open_folder
from picie.errors import DataError
from picie.evaluation import health
from picie.evaluation.health import health_text, measure_health
from picie.inference.segmenter import Segmenter

NAMES = {
    "view_agreement",
    "view_information",
    "effective_clusters",
    "largest_cluster",
    "position_information",
    "half_agreement",
    "silhouette",
    "lighting_clusters",
    "pictures",
}


def measured(model: Segmenter, scenes: Path) -> dict[str, float]:
    photos = open_folder(scenes, "train").photos
    base = model.config.base_size
    crops = BaseCrops(photos, base, CropCache(len(photos), base, memory_mb=10))
    loader = image_loader(crops, model.config, torch.device("cpu"))
    return measure_health(model, loader, len(photos))


def changed(model: Segmenter, **settings: object) -> Segmenter:
    return Segmenter(model.network, model.config.model_copy(update=settings))


def test_every_run_has_its_health(runs: dict[str, Path], scenes: Path, model: Segmenter) -> None:
    for run in runs.values():
        health = json.loads((run / "health.json").read_text())
        assert set(health) == NAMES | {"constant_images"}
        assert health["constant_images"] == 0
        assert 1 <= health["effective_clusters"] <= 3
        counts = {"effective_clusters", "pictures", "lighting_clusters"}
        for name in NAMES - counts - {"half_agreement", "silhouette"}:
            assert 0 <= health[name] <= 1, name
        log = (run / "train.log").read_text()
        assert f"{health['effective_clusters']:.1f} effective clusters of 3" in log
    again = measured(model, scenes) | {"constant_images": 0}
    assert again == pytest.approx(json.loads((runs["default"] / "health.json").read_text()))


def test_one_cluster_that_swallows_all_is_seen(scenes: Path, model: Segmenter) -> None:
    network = copy.deepcopy(model.network)  # the model is shared by all tests
    centroids, groups, _ = network.view_centroids(0)
    network.set_centroids([centroids], [groups], [torch.where(groups == 1, 100.0, 0.0)])
    health = measured(Segmenter(network, model.config), scenes)
    assert health["view_agreement"] == 1  # which is why this alone says nothing
    assert health["view_information"] == 0
    assert health["effective_clusters"] == pytest.approx(1)
    assert health["largest_cluster"] == 1
    assert health["silhouette"] == 0


def test_views_are_the_same_whatever_a_run_was_trained_with(scenes: Path, model: Segmenter) -> None:
    still = dict.fromkeys(("flip", "jitter", "hue", "grayscale", "blur"), 0.0) | {"crop_min": 1.0}
    one, other = measured(model, scenes), measured(changed(model, **still), scenes)
    assert one == pytest.approx(other)
    assert one["view_agreement"] < 1


def test_halves_are_clustered_as_the_model_was(scenes: Path, model: Segmenter) -> None:
    one, other = (measured(changed(model, kmeans_smoothing=n), scenes) for n in (0, 3))
    assert one["half_agreement"] != other["half_agreement"]
    assert one | {"half_agreement": 0} == pytest.approx(other | {"half_agreement": 0})


def test_each_half_is_joined_by_its_own_contacts(
    scenes: Path, model: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    def built(
        centroids: Tensor, shared: Tensor | None = None, contacts: Tensor | None = None
    ) -> Tensor:
        if contacts is not None:
            seen.append(float(contacts[0].sum()))
        return build_tree(centroids, shared, contacts)

    monkeypatch.setattr(health, "build_tree", built)
    images = int(measured(model, scenes)["pictures"])
    side = model.config.size // 8
    ours = 4 * side * (side - 1)  # of one image, each pair of cells told twice
    assert seen == [images // 2 * ours, (images - images // 2) * ours]
    measured(changed(model, merge_rule="distance"), scenes)
    assert len(seen) == 2  # distances alone ask for none


def test_nothing_to_measure_is_an_error(model: Segmenter) -> None:
    with pytest.raises(DataError, match="none of the images could be read"):
        measure_health(model, lambda order, size: iter(()), 3)


def test_the_text_names_every_measure() -> None:
    health = dict.fromkeys(NAMES, 0.25) | {"pictures": 64.0, "effective_clusters": 7.24}
    assert "warning" not in health_text(health, 11)
    text = health_text(health, 11)
    assert text.startswith("health (no labels used), on 64 images:\n")
    assert "agree on 25% of the pixels (information 0.25)" in text
    assert "7.2 effective clusters of 11; the largest has 25%" in text
    assert "explains 25% of the clusters" in text
    assert "agree: 0.25 (adjusted Rand)" in text
    assert "silhouette 0.25" in text
    assert "halves" not in health_text(
        {k: v for k, v in health.items() if k != "half_agreement"}, 11
    )


def test_warnings_are_in_the_text() -> None:
    health = dict.fromkeys(NAMES, 0.25) | {"largest_cluster": 0.95}
    assert "  warning: one cluster holds 95%" in health_text(health, 5)

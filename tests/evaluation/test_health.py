"""Health on runs, and on models whose health is known."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from picie.clustering.kept_stages import KeptStages
from picie.clustering.vote import Vote, vote_tree
from picie.config import Similarity, make_config
from picie.data.cache import CropCache
from picie.data.crop_loader import BaseCrops, image_loader
from picie.data.folder import open_folder
from picie.errors import DataError
from picie.evaluation import health
from picie.evaluation.health import health_sample, health_text, measure_health, verdict
from picie.inference.segmenter import Segmenter
from picie.models.backbones import Backbone
from picie.models.picie import PiCIE
from picie.training.loop import train
from picie.training.validation import check_health
from picie.types import Batch

NAMES = {
    "view_agreement",
    "view_information",
    "effective_clusters",
    "largest_cluster",
    "position_information",
    "half_agreement",
    "silhouette",
    "relighting",
    "lighting_clusters",
    "one_image_clusters",
    "pictures",
}


def measured(model: Segmenter, scenes: Path, stages: KeptStages | None = None) -> dict[str, float]:
    photos = open_folder(scenes, "train").photos
    base = model.config.base_size
    crops = BaseCrops(photos, base, CropCache(len(photos), base, memory_mb=10))
    loader = image_loader(crops, model.config, torch.device("cpu"))
    return measure_health(model, loader, len(photos), stages)


def changed(model: Segmenter, **settings: object) -> Segmenter:
    return Segmenter(model.network, model.config.model_copy(update=settings))


def test_every_run_has_its_health(runs: dict[str, Path], scenes: Path, model: Segmenter) -> None:
    for name, run in runs.items():
        health = json.loads((run / "health.json").read_text())
        chosen = {"tree_agreement", "border_contrast"} if name == "default" else set()
        assert set(health) == NAMES | {"constant_images"} | chosen
        assert health["constant_images"] == 0
        assert 1 <= health["effective_clusters"] <= 3
        counts = {"effective_clusters", "pictures", "lighting_clusters", "one_image_clusters"}
        for name in NAMES - counts - {"half_agreement", "silhouette"}:
            assert 0 <= health[name] <= 1, name
        log = (run / "train.log").read_text()
        assert f"{health['effective_clusters']:.1f} effective clusters of 3" in log
        assert ("tree of the centroids: diffusion" in log) == bool(chosen)
    kept = json.loads((runs["default"] / "health.json").read_text())
    assert kept["tree_agreement"] <= 1
    assert kept["border_contrast"] > 0
    others = {name: kept[name] for name in ("tree_agreement", "border_contrast")}
    again = measured(model, scenes) | {"constant_images": 0} | others
    assert again == pytest.approx(kept)


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

    def voted(
        centroids: Tensor,
        clusters: int,
        shared: Tensor | None = None,
        contacts: Tensor | None = None,
    ) -> Vote:
        if contacts is not None:
            seen.append(float(contacts[0].sum()))
        return vote_tree(centroids, clusters, shared, contacts)

    monkeypatch.setattr(health, "vote_tree", voted)
    images = int(measured(model, scenes)["pictures"])
    side = model.config.size // 8
    ours = 4 * side * (side - 1)  # of one image, each pair of cells told twice
    assert seen == [images // 2 * ours, (images - images // 2) * ours]
    measured(changed(model, merge_rule="distance"), scenes)
    assert len(seen) == 2  # distances alone ask for none


class Cells(nn.Module):
    """What a network sees in each cell of 4 x 4 pixels: its brightness, or how its stripes run."""

    strides = (4,)

    def __init__(self, *, texture: bool) -> None:
        super().__init__()
        self.texture = texture

    def forward(self, images: Tensor) -> list[Tensor]:
        grey = images.mean(1, keepdim=True)
        if not self.texture:
            return [F.avg_pool2d(grey, 4)]
        steps = [grey.diff(dim=axis).abs() for axis in (2, 3)]
        steps = [F.pad(steps[0], (0, 0, 0, 1)), F.pad(steps[1], (0, 1))]
        return [F.avg_pool2d(torch.cat(steps, 1), 4)]


class First(nn.Module):
    """A decoder that gives the only stage."""

    def forward(self, stages: list[Tensor]) -> Tensor:
        return stages[0]


def handmade(centroids: list[list[float]], *, texture: bool) -> Segmenter:
    rule: Similarity = "cosine" if texture else "l2"
    config = make_config(
        clusters=2, overclusters=0, size=64, base_size=64, backbone="test_efficientnet",
        feature_size=8, pretrained=False, similarity=rule, unit_features=texture, device="cpu",
    )  # fmt: skip
    network = PiCIE("test_efficientnet", 8, pretrained=False)
    network.backbone, network.decoder = Cells(texture=texture), First()  # type: ignore[assignment]
    network.set_centroids([torch.tensor(centroids)], [torch.arange(2)])
    return Segmenter(network, config)


def of_images(images: Tensor) -> Callable[[list[int], int], list[Batch]]:
    return lambda order, size: [Batch(torch.tensor(order), images[order])]


def test_a_model_of_brightness_follows_the_light_and_one_of_texture_does_not() -> None:
    # 0.4 and 0.9 against a threshold of 0.5. Gamma 0.5 makes them 0.63 and 0.95, half the contrast
    # 0.53 and 0.78: in these two lights half of the image changes its cluster, in the others none.
    halves = torch.full((6, 3, 64, 64), 102, dtype=torch.uint8)
    halves[..., 32:] = 230
    brightness = handmade([[0.25], [0.75]], texture=False)
    assert measure_health(brightness, of_images(halves), 6)["relighting"] == pytest.approx(5 / 6)
    stripes = torch.full((12, 3, 64, 64), 60, dtype=torch.uint8)
    stripes[..., :32:2] = 140
    stripes[..., ::2, 32:] = 140
    texture = handmade([[1.0, 0.0], [0.0, 1.0]], texture=True)
    assert measure_health(texture, of_images(stripes), 12)["relighting"] > 0.99
    assert measure_health(brightness, of_images(stripes), 12)["relighting"] < 0.9


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of images that any backbone was given; those of folding count 0."""
    seen: list[int] = []
    real = Backbone._maps

    def counting(backbone: Backbone, images: Tensor) -> list[Tensor]:
        seen.append(len(images) * (images.shape[-1] == 32))
        return real(backbone, images)

    monkeypatch.setattr(Backbone, "_maps", counting)
    return seen


def test_kept_maps_take_the_place_of_passes(
    model: Segmenter, scenes: Path, tmp_path: Path, passes: list[int]
) -> None:
    order, found = health_sample(model.config, 6), []
    stages = KeptStages([order, order], tmp_path, 10**9)
    for kept in (None, stages, stages):
        found.append((measured(model, scenes, kept), sum(passes)))
        passes.clear()
    stages.close()
    assert [count for _, count in found] == [4 * 6, 4 * 6, 3 * 6]
    assert found[0][0] == pytest.approx(found[1][0])
    assert found[1][0] == found[2][0]


@pytest.mark.parametrize(("precision", "each"), [("fp32", 3), ("bf16", 4)])
def test_a_run_measures_with_maps_as_exact_as_its_own(
    precision: str,
    each: int,
    scenes: Path,
    tmp_path: Path,
    settings: dict[str, dict[str, Any]],
    passes: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def check(*given: Any) -> dict[str, float]:
        passes.clear()
        return check_health(*given)

    monkeypatch.setattr("picie.training.trainer.check_health", check)
    monkeypatch.setattr("picie.training.trainer.network_precision", lambda *_: (precision, ""))
    train(scenes, tmp_path / "run", **settings["default"] | {"epochs": 0})
    assert sum(passes) == each * 6


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
    assert "in other light 25% of the pixels keep their cluster" in text
    assert "halves" not in health_text(
        {k: v for k, v in health.items() if k != "half_agreement"}, 11
    )


def test_warnings_and_weak_numbers_are_in_the_text() -> None:
    health = dict.fromkeys(NAMES, 0.25) | {"largest_cluster": 0.95}
    assert "  warning: one cluster holds 95%" in health_text(health, 5)
    assert "  weak: agreement of halves 0.25 (1 = the same" in health_text(health, 5)


def test_a_cluster_of_one_image_is_counted() -> None:
    images = torch.full((4, 3, 64, 64), 20, dtype=torch.uint8)
    images[3, :, :, :40] = 230
    brightness = handmade([[0.25], [0.75]], texture=False)
    assert measure_health(brightness, of_images(images), 4)["one_image_clusters"] == 1
    images[2, :, :, :40] = 230
    assert measure_health(brightness, of_images(images), 4)["one_image_clusters"] == 0


def test_the_verdict_is_in_plain_words() -> None:
    health = dict.fromkeys(NAMES, 0.75) | {"lighting_clusters": 0.0, "one_image_clusters": 0.0}
    assert verdict(health) == (
        "No warnings: two views of a photo agree on 75% of the pixels, and 75% keep their "
        "cluster in other light. Whether the clusters are things, only a look can tell."
    )
    one = verdict(health | {"largest_cluster": 0.95})
    assert one.startswith("One thing to look at:\n  warning: one cluster holds 95%")
    assert verdict(health | {"largest_cluster": 0.95, "constant_images": 0.5}).startswith(
        "2 things"
    )


def test_weak_numbers_are_called_weak() -> None:
    health = dict.fromkeys(NAMES, 0.75) | {"lighting_clusters": 0.0, "one_image_clusters": 0.0}
    edge = health | {"half_agreement": 0.5, "view_agreement": 0.67}
    assert verdict(edge).startswith("No warnings")
    lines = verdict(health | {"half_agreement": 0.13, "view_agreement": 0.58}).splitlines()
    assert [line[:35] for line in lines] == [
        "2 things to look at:",
        "  weak: agreement of halves 0.13 (1",
        "  weak: view agreement 58%: the oth",
    ]
    del edge["half_agreement"]  # too few pixels for halves
    assert verdict(edge).startswith("No warnings")

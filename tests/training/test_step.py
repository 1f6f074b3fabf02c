"""Which cells of the two views a training step compares."""

import pytest
import torch
from torch import Tensor

from picie.clustering.features import ClusterFit
from picie.clustering.pseudo_labels import nearest
from picie.clustering.vote import Vote
from picie.config import Config, make_config
from picie.models.folding import folded
from picie.models.picie import PiCIE
from picie.objectives.picie import picie_losses
from picie.objectives.prototypes import Prototypes
from picie.training.step import compute_losses
from picie.training.targets import Level, Targets
from picie.types import Batch, Clusters
from picie.views.geometric import resample
from picie.views.pair import Views

CLUSTERS, FEATURES, SIZE = 5, 16, 64


def make_fit(seed: int) -> ClusterFit:
    centroids = torch.randn(CLUSTERS, FEATURES, generator=torch.Generator().manual_seed(seed))
    counts = torch.ones(CLUSTERS, dtype=torch.int64)
    groups, no_tree = torch.arange(CLUSTERS), Vote(torch.empty(0, 3))
    return ClusterFit(Clusters(centroids, counts), groups, no_tree, 0.0, CLUSTERS)


def make_targets(model: PiCIE) -> Targets:
    fits = (make_fit(0), make_fit(1))
    prototypes = tuple(
        Prototypes.of(one.clusters.centroids, one.groups, torch.ones(CLUSTERS), "cosine")
        for one in fits
    )
    return Targets((Level(fits, prototypes, (), 1.0),), folded(model), None, 0.0)


def make_settings(rate: float) -> Config:
    return make_config(
        backbone="test_efficientnet", pretrained=False, feature_size=FEATURES, size=SIZE,
        base_size=SIZE, clusters=CLUSTERS, overclusters=0, backbone_rate=rate,
    )  # fmt: skip


def rows_of(maps: Tensor, apart: int) -> Tensor:
    return maps[:, :, ::apart, ::apart].permute(0, 2, 3, 1).flatten(0, 2)


@pytest.mark.parametrize(("rate", "apart"), [(0.0, 2), (0.1, 1)])
def test_a_frozen_backbone_is_compared_at_every_second_cell(rate: float, apart: int) -> None:
    """Of both views the same cells: those of the second one after G."""
    config = make_settings(rate)
    model = PiCIE("test_efficientnet", FEATURES, pretrained=False).eval()
    targets = make_targets(model)
    draws = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (2, 3, SIZE, SIZE), dtype=torch.uint8, generator=draws)
    pair = Views(config, 0, SIZE // model.stride)(Batch(torch.arange(2), images))
    losses, counts = compute_losses(model, targets, pair, config)

    with torch.no_grad():
        second = resample(model(pair.second), pair.rows, pair.columns)
        rows = (rows_of(model(pair.first), apart), rows_of(second, apart))
    labels = tuple(
        nearest(one, fit.clusters.centroids, "cosine")
        for one, fit in zip(rows, targets.levels[0].fits, strict=True)
    )
    assert counts.tolist() == [one.bincount(minlength=CLUSTERS).tolist() for one in labels]
    expected = picie_losses(
        rows, (labels[0], labels[1]), targets.levels[0].prototypes[:2],  # type: ignore[arg-type]
        temperature=config.temperature,
    )  # fmt: skip
    torch.testing.assert_close(losses.total.detach(), expected.total, rtol=1e-4, atol=1e-5)

"""The tree of clusters that models carry."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster

from picie.clustering.linkage import build_tree
from picie.clustering.tree import cut_network, cut_rows, suggest_clusters, tree_of
from picie.errors import ConfigError, NotFittedError
from picie.evaluation.scoring import evaluate
from picie.inference.segmenter import Segmenter, load
from picie.models.picie import PiCIE


def test_a_cut_is_what_training_at_that_number_gives(
    scenes: Path, settings: dict[str, dict[str, object]], tmp_path: Path
) -> None:
    from picie.training.loop import train

    values: dict[str, object] = settings["default"] | {"epochs": 0}
    whole = train(scenes, tmp_path / "three", **values)  # type: ignore[arg-type]
    direct = train(scenes, tmp_path / "four", **values | {"clusters": 4})  # type: ignore[arg-type]
    image = torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(0))
    cut = whole.cut(4)
    assert cut.clusters == 4
    assert (cut.predict(image) == direct.predict(image)).all()
    assert whole.clusters == 3  # the model itself stays as it was
    assert set(whole.predict(image).flatten().tolist()) <= {0, 1, 2}


@pytest.mark.parametrize("steps", [(0.0, 1.0), (0.0,), (0.5, 1.0), (0.0, 0.0, 0.0, 1.0)])
def test_cuts_are_those_of_scipy(steps: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    for count in (2, 3, 5, 12, 40):
        rows = random_tree(rng, count, steps)
        for k in range(1, count):
            found, wanted = cut_rows(rows[:, :3], k), fcluster(rows, k, "maxclust")
            pairs = set(zip(found.tolist(), wanted.tolist(), strict=True))
            assert len(pairs) == len(set(found.tolist())) == len(set(wanted.tolist()))
            assert [*dict.fromkeys(found.tolist())] == list(range(found.max() + 1))


def random_tree(
    rng: np.random.Generator, count: int, steps: tuple[float, ...]
) -> NDArray[np.float64]:
    """A linkage of scipy whose heights rise by such steps; 0 makes ties."""
    sizes, open_nodes, height = [1] * count, list(range(count)), 0.0
    rows = []
    for _ in range(count - 1):
        pair = sorted(int(node) for node in rng.choice(open_nodes, 2, replace=False))
        open_nodes = [node for node in open_nodes if node not in pair] + [len(sizes)]
        sizes.append(sizes[pair[0]] + sizes[pair[1]])
        height += float(rng.choice(steps))
        rows.append((*pair, height, sizes[-1]))
    return np.array(rows, dtype=np.float64)


def test_finer_cuts_lie_inside_coarser_ones(model: Segmenter) -> None:
    image = torch.rand(3, 48, 64, generator=torch.Generator().manual_seed(0))
    pairs = [(2, 3), (3, 5), (5, 8)]
    for few, many in pairs:
        groups = [cut_network(model.network, k).groups[0].tolist() for k in (few, many)]
        assert len(set(zip(*groups, strict=True))) == many
        assert model.cut(many).predict(image).max() < many


def test_weights_are_shared_and_the_cut_can_be_saved(model: Segmenter, tmp_path: Path) -> None:
    cut = model.cut(5)
    for one, other in zip(cut.network.parameters(), model.network.parameters(), strict=True):
        assert one is other
    cut.save(tmp_path)
    again = load(tmp_path)
    assert (again.clusters, again.config.clusters) == (5, 5)
    assert again.cut(3).network.groups.tolist() == model.network.groups.tolist()


def test_two_views_are_cut_each_by_its_own_tree(runs: dict[str, Path]) -> None:
    reference = load(runs["reference"])
    cut = reference.cut(2)
    assert cut.network.groups.shape == reference.network.groups.shape
    assert cut.clusters == 2


@pytest.mark.parametrize("wanted", [1, 9, 0])
def test_numbers_that_cannot_be(model: Segmenter, wanted: int) -> None:
    with pytest.raises(ConfigError, match=rf"{wanted} clusters: .* 8 centroids .* 2 to 8"):
        model.cut(wanted)


def test_without_a_tree(runs: dict[str, Path]) -> None:
    empty = PiCIE("test_efficientnet", 8, pretrained=False)
    with pytest.raises(NotFittedError):
        cut_network(empty, 3)
    learnt = load(runs["default"]).network
    learnt.set_centroids([learnt.centroids[0]], [learnt.groups[0]], [torch.ones(8)])
    with pytest.raises(ConfigError, match="come from a learnt classifier and form no tree"):
        cut_network(learnt, 3)
    old = load(runs["default"]).network  # as one that was written before models carried trees
    state = {k: v for k, v in old.state_dict().items() if k != "trees"}
    old.restore(state)
    assert old.trees.numel() == 0
    assert (tree_of(old.centroid_set()) == build_tree(old.centroids[0]).numpy()).all()


def test_the_suggestion_lies_in_the_tree(model: Segmenter) -> None:
    assert 3 <= suggest_clusters(tree_of(model.network.centroid_set())) <= 4


def test_evaluation_takes_a_cut(scenes: Path, model: Segmenter) -> None:
    found = evaluate(model.cut(8), scenes, split="val", fresh_clusters=1)
    assert found.scores.protocol["clusters"] == 8
    assert found.fresh[0].protocol["clusters"] == 8

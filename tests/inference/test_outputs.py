"""From names to the id of each centroid, on trees small enough to follow by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor

from picie.clustering.linkage import build_tree
from picie.clustering.tree import cluster_groups, cut_tree, node_members
from picie.errors import ConfigError, NotFittedError
from picie.inference.outputs import cluster_colours, outputs_of
from picie.models.class_names import ClassNames, NamedClass
from picie.models.picie import PiCIE
from picie.visualization.palette import blended_distances, palette


def merged(centroids: Tensor, k: int) -> Tensor:
    """(P,) cluster of each centroid when K are left."""
    return cut_tree(build_tree(centroids), k)


# Angles of six centroids: (0, 1) and (2, 3) are pairs that join first, then 4 joins 2 and 3.
ANGLES = (0.0, 0.02, 1.5, 1.53, 1.9, 3.0)


def centroids(angles: tuple[float, ...] = ANGLES) -> Tensor:
    turned = torch.tensor(angles)
    return torch.stack([turned.cos(), turned.sin()], 1)


@pytest.fixture(scope="module")
def bare() -> PiCIE:
    return PiCIE("test_efficientnet", 2, pretrained=False)


@pytest.fixture
def network(bare: PiCIE) -> PiCIE:
    """Six centroids in four clusters: 0 1 | 2 3 | 4 | 5; nodes 6 = 0 1, 7 = 2 3, 8 = 2 3 4."""
    points = centroids()
    bare.set_centroids([points], [merged(points, 4)], trees=[build_tree(points)])
    return bare


def test_the_tree_is_the_one_that_the_tests_say(network: PiCIE) -> None:
    assert network.groups.tolist() == [[0, 0, 1, 1, 2, 3]]
    members = [sorted(one) for one in node_members(network.centroid_set())]
    assert members[:9] == [[0], [1], [2], [3], [4], [5], [0, 1], [2, 3], [2, 3, 4]]
    assert members[-1] == [0, 1, 2, 3, 4, 5]
    assert len(members) == 11


def test_classes_come_first_and_then_the_clusters_without_a_name(network: PiCIE) -> None:
    found = outputs_of(network.centroid_set(), ClassNames.of(4, {"b": [3], "a": [0, 2]}))
    assert found.names == ("b", "a", "cluster 1")
    assert found.ids.tolist() == [1, 1, 2, 2, 1, 0]


def test_entries_of_one_name_are_merged(network: PiCIE) -> None:
    classes = (NamedClass("a", (3,)), NamedClass("b", (0,)), NamedClass("a", (), (8,)))
    found = outputs_of(network.centroid_set(), ClassNames(4, classes))
    assert found.names == ("a", "b")
    assert found.ids.tolist() == [1, 1, 0, 0, 0, 0]


def test_a_node_may_be_part_of_a_cluster_and_the_rest_keeps_its_number(network: PiCIE) -> None:
    found = outputs_of(network.centroid_set(), ClassNames(4, (NamedClass("half", (), (3,)),)))
    assert found.names == ("half", "cluster 0", "cluster 1", "cluster 2", "cluster 3")
    assert found.ids.tolist() == [1, 1, 2, 0, 3, 4]


def test_numbers_are_those_of_the_cut_that_the_names_say(network: PiCIE) -> None:
    found = outputs_of(network.centroid_set(), ClassNames.of(3, {"a": [1]}))
    assert cluster_groups(network.centroid_set(), 3).tolist() == [0, 0, 1, 1, 1, 2]
    assert found.names == ("a", "cluster 0", "cluster 2")
    assert found.ids.tolist() == [1, 1, 0, 0, 0, 2]


def test_ignored_centroids_come_after_all_ids(network: PiCIE) -> None:
    classes = (NamedClass("ignore", (0,), ignore=True), NamedClass("a", (3,)))
    found = outputs_of(
        network.centroid_set(), ClassNames(4, (*classes, NamedClass("dust", (2,), ignore=True)))
    )
    assert found.names == ("a", "cluster 1")
    assert found.ids.tolist() == [2, 2, 1, 1, 2, 0]
    assert len(found.colours) == 2


def test_the_score_of_an_id_is_that_of_its_best_centroid(network: PiCIE) -> None:
    classes = (
        NamedClass("empty"),
        NamedClass("a", (0, 3)),
        NamedClass("ignore", (2,), ignore=True),
    )
    found = outputs_of(network.centroid_set(), ClassNames(4, classes))
    assert found.names == ("empty", "a", "cluster 1")
    values = torch.randn(2, 6, 3, 5)
    scores = found.scores(values)
    assert scores.shape == (2, 4, 3, 5)
    torch.testing.assert_close(scores[:, 1], values[:, [0, 1, 5]].amax(1))
    torch.testing.assert_close(scores[:, 2], values[:, [2, 3]].amax(1))
    torch.testing.assert_close(scores[:, 3], values[:, 4])
    assert bool((scores[:, 0] < values.amin(1)).all())
    assert bool(scores.isfinite().all())


def test_an_empty_class_at_the_end_keeps_its_channel(network: PiCIE) -> None:
    names = ClassNames(4, (NamedClass("a", (0, 1, 2, 3)), NamedClass("empty")))
    scores = outputs_of(network.centroid_set(), names).scores(torch.randn(1, 6, 2, 2))
    assert scores.shape == (1, 2, 2, 2)
    assert not scores.argmax(1).any()


def test_colours_are_those_chosen_and_others_that_differ(network: PiCIE) -> None:
    orange = "#{:02x}{:02x}{:02x}".format(*palette(1)[0].tolist())
    classes = (NamedClass("a", (0,)), NamedClass("b", (1,), (), orange.upper()))
    found = outputs_of(network.centroid_set(), ClassNames(4, classes)).colours
    assert found.dtype == np.uint8
    assert found[1].tolist() == palette(1)[0].tolist()
    assert len({tuple(one) for one in found.tolist()}) == 4
    chosen = (NamedClass("a", (0,), (), "#e69f00"), *(NamedClass(str(n), (n,)) for n in (1, 2, 3)))
    colours = outputs_of(network.centroid_set(), ClassNames(4, chosen)).colours
    assert blended_distances(colours[:1], colours[1:]).min() > 15


def test_siblings_differ_and_classes_keep_their_colours(bare: PiCIE) -> None:
    """Twelve pairs of centroids: the two of a pair are siblings in the tree."""
    angles = tuple(0.5 * pair + 0.01 * one for pair in range(12) for one in (0, 1))
    points, many = centroids(angles), torch.arange(24)
    bare.set_centroids([points], [many], trees=[build_tree(points)])
    colours = cluster_colours(bare.centroid_set())
    apart = blended_distances(colours, colours)
    assert min(apart[one, one + 1] for one in range(0, 24, 2)) > 25
    assert sorted(colours.tolist()) == sorted(palette(24).tolist())
    no_names = outputs_of(bare.centroid_set(), ClassNames(24))
    np.testing.assert_array_equal(no_names.colours, colours)
    few = outputs_of(bare.centroid_set(), ClassNames.of(24, {"a": [7]}))
    more = outputs_of(bare.centroid_set(), ClassNames.of(24, {"a": [7], "b": [3]}))
    np.testing.assert_array_equal(few.colours[:1], palette(1))
    np.testing.assert_array_equal(more.colours[:2], palette(2))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([NamedClass("a", (), (11,))], "class 'a': there is no node 11; the tree of 6 centroids "),
        (
            [NamedClass("a", (1,)), NamedClass("b", (), (8,))],
            "node 8 ('b') and cluster 1 ('a') share centroids; a centroid can have only one name",
        ),
        (
            [NamedClass("a", (), (7,)), NamedClass("b", (), (2,))],
            "node 2 ('b') and node 7 ('a') share centroids",
        ),
        ([NamedClass("a", (1,), (7,))], "node 7 ('a') and cluster 1 ('a') share centroids"),
        ([NamedClass("ignore", (0, 1, 2, 3), ignore=True)], "every cluster is ignored, so masks"),
    ],
)
def test_names_that_do_not_fit_the_model(
    network: PiCIE, classes: list[NamedClass], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        outputs_of(network.centroid_set(), ClassNames(4, tuple(classes), "runs/a/classes.toml"))
    assert message in str(caught.value)
    assert str(caught.value).startswith("runs/a/classes.toml: ")


def test_a_cut_that_cannot_be(network: PiCIE) -> None:
    with pytest.raises(ConfigError, match="clusters = 7, but the model has 6 centroids and can be"):
        outputs_of(network.centroid_set(), ClassNames(7))


def test_clusters_that_coincide_leave_numbers_without_centroids(bare: PiCIE) -> None:
    points = centroids((0.0, 0.0, 0.0, 1.0))
    tree = build_tree(points)
    bare.set_centroids([points], [torch.tensor([0, 0, 0, 1])], trees=[tree])
    with pytest.raises(ConfigError, match="class 'a': cluster 2 has no centroid in this model"):
        outputs_of(bare.centroid_set(), ClassNames.of(3, {"a": [2]}))


def test_a_learnt_classifier_has_clusters_but_no_tree(bare: PiCIE) -> None:
    points = centroids()
    bare.set_centroids([points], [torch.arange(6)], offsets=[torch.ones(6)])
    assert outputs_of(bare.centroid_set(), ClassNames.of(6, {"a": [5]})).names[0] == "a"
    with pytest.raises(ConfigError, match="this model has 6 clusters from a learnt classifier"):
        outputs_of(bare.centroid_set(), ClassNames(4))
    with pytest.raises(ConfigError, match="x: nodes cannot be used: the clusters of this model co"):
        outputs_of(bare.centroid_set(), ClassNames(6, (NamedClass("a", (), (7,)),), "x"))


def test_nothing_learnt() -> None:
    with pytest.raises(NotFittedError):
        PiCIE("test_efficientnet", 2, pretrained=False).centroid_set()

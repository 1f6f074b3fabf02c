"""The order of questions; the tree is drawn in the fixture."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from picie.clustering.linkage import build_tree
from picie.clustering.tree import cut_tree
from picie.errors import ConfigError
from picie.inference.segmenter import Segmenter
from picie.models.class_names import ClassNames, NamedClass
from picie.models.picie import PiCIE
from picie.naming.assign import ClusterTree, assign
from picie.naming.parts import parse_assignments
from picie.naming.questions import Question, next_questions

SHARES = (0.05, 0.05, 0.1, 0.2, 0.5, 0.1)


@pytest.fixture(scope="module")
def model(model: Segmenter) -> Segmenter:
    """Six centroids; nodes 6 = 0 1, 7 = 2 3, 8 = 2 3 4, 9 = 2 3 4 5, 10 = all.

    Three clusters: 0 = 0 1, 1 = 2 3 4, 2 = 5.
    """
    angles = torch.tensor((0.0, 0.02, 1.5, 1.53, 1.9, 2.7))
    points = torch.stack([angles.cos(), angles.sin()], 1)
    network = PiCIE("test_efficientnet", 2, pretrained=False)
    tree = build_tree(points)
    network.set_centroids([points], [cut_tree(tree, 3)], trees=[tree])
    return Segmenter(network, model.config.model_copy(update={"clusters": 3}))


def names(*classes: NamedClass) -> ClassNames:
    return ClassNames(3, classes)


def ask(model: Segmenter, given: ClassNames, **options: Any) -> list[Question]:
    return next_questions(model.network.centroid_set(), given, **options)


def nodes(asked: list[Question]) -> list[tuple[int, str]]:
    return [(one.node, one.name) for one in asked]


def test_nodes_of_the_first_cut_are_named_first_and_the_largest_comes_first(
    model: Segmenter,
) -> None:
    assert nodes(ask(model, names(), start=3)) == [
        (8, ""),
        (6, ""),
        (5, ""),
    ]
    asked = ask(model, names(), start=4, shares=SHARES)
    assert nodes(asked) == [(4, ""), (7, ""), (5, ""), (6, "")]
    assert asked[0].share == pytest.approx(0.5)
    assert asked[1].share == pytest.approx(0.3)
    assert asked[1].children == (2, 3)
    assert asked[1].child_shares == pytest.approx((0.1, 0.2))
    assert asked[0].children is None
    assert asked[0].child_shares is None
    assert len(ask(model, names())) == 6  # fewer centroids than START
    assert len(ask(model, names(), start=3, count=2)) == 2


def test_of_a_node_with_some_names_below_it_the_rest_is_asked(model: Segmenter) -> None:
    asked = ask(model, names(NamedClass("a", (), (3,))), start=3)
    assert nodes(asked) == [(6, ""), (2, ""), (4, ""), (5, "")]


def test_named_nodes_are_split_in_the_order_of_the_tree(model: Segmenter) -> None:
    given = names(NamedClass("a", (0, 1)), NamedClass("ignore", (2,), ignore=True))
    asked = ask(model, given, start=3)
    assert nodes(asked) == [(8, "a"), (6, "a")]
    assert [one.children for one in asked] == [(4, 7), (0, 1)]
    assert all(one.share is None and one.child_shares is None for one in asked)
    whole = ask(model, names(NamedClass("a", (), (10,))), start=3)
    assert nodes(whole) == [(10, "a")]


def test_the_nodes_with_names_are_those_of_finer_and_finer_cuts(model: Segmenter) -> None:
    tree = torch.tensor(ClusterTree(model.network.centroid_set(), 3).children)
    given = names(NamedClass("a", (), (10,)))
    cluster_tree = ClusterTree(model.network.centroid_set(), 3)
    for count in range(2, 7):
        left, right = ask(model, given)[0].children or (0, 0)
        orders = parse_assignments([f"n{left}=a", f"n{right}=a"])
        given = assign(given, cluster_tree, orders)[0]
        (entry,) = given.classes
        parts = [cluster_tree.clusters[one] for one in entry.clusters]
        parts += [cluster_tree.nodes[one] for one in entry.nodes]
        cut = cut_tree(tree, count).numpy()
        assert set(parts) == {frozenset(np.flatnonzero(cut == k).tolist()) for k in range(count)}
    assert ask(model, given) == []


def test_a_confirmed_node_is_not_asked_again_but_what_is_below_it_is(model: Segmenter) -> None:
    cluster_tree = ClusterTree(model.network.centroid_set(), 3)
    before = names(NamedClass("a", (0, 1, 2)))
    after, said = assign(before, cluster_tree, parse_assignments(["n4,n7=a"]))
    assert said == ["node 4: a (unchanged)", "node 7: a (unchanged)"]
    assert nodes(ask(model, after, start=3)) == [
        (7, "a"),
        (6, "a"),
    ]
    assert torch.equal(model.named(before).centroid_ids, model.named(after).centroid_ids)


def test_the_most_similar_names_are_suggested(model: Segmenter) -> None:
    given = names(NamedClass("far", (0,)), NamedClass("near", (), (4,)))
    asked = {one.node: one for one in ask(model, given, start=3)}
    assert asked[7].alike == ("near", "far")
    assert asked[6].alike == ("near",)  # not its own name
    many = names(*(NamedClass(f"c{node}", (), (node,)) for node in range(5)))
    assert ask(model, many, start=3)[0].alike == (
        "c4",
        "c3",
        "c2",
    )


def test_clusters_without_a_tree_are_refused(model: Segmenter) -> None:
    network = PiCIE("test_efficientnet", 2, pretrained=False)
    points = torch.eye(2)
    network.set_centroids([points], [torch.arange(2)], offsets=[torch.ones(2)])
    learnt = Segmenter(network, model.config.model_copy(update={"clusters": 2}))
    with pytest.raises(ConfigError, match="learnt classifier and form no tree"):
        ask(learnt, replace(names(), clusters=2))


def test_names_that_do_not_fit_are_refused(model: Segmenter) -> None:
    with pytest.raises(ConfigError, match="there is no node 11"):
        ask(model, names(NamedClass("a", (), (11,))))

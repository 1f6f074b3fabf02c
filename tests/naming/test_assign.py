"""Names that move along a tree; the tree is drawn in the fixture."""

import itertools

import pytest
import torch
from torch import Tensor

from picie.clustering.linkage import build_tree
from picie.clustering.tree import cut_tree
from picie.errors import ConfigError
from picie.inference.outputs import outputs_of
from picie.models.class_names import ClassNames, NamedClass
from picie.models.picie import PiCIE
from picie.naming.assign import ClusterTree, assign, paint, recut, remove, take_away
from picie.naming.parts import Part, parse_assignments, parse_parts, parts_of


def merged(centroids: Tensor, k: int) -> Tensor:
    """(P,) cluster of each centroid when K are left."""
    return cut_tree(build_tree(centroids), k)


@pytest.fixture(scope="module")
def network() -> PiCIE:
    """Six centroids; nodes 6 = 0 1, 7 = 2 3, 8 = 2 3 4, 9 = 2 3 4 5, 10 = all.

    Three clusters: 0 = 0 1, 1 = 2 3 4, 2 = 5.
    """
    angles = torch.tensor((0.0, 0.02, 1.5, 1.53, 1.9, 2.7))
    points = torch.stack([angles.cos(), angles.sin()], 1)
    model = PiCIE("test_efficientnet", 2, pretrained=False)
    model.set_centroids([points], [merged(points, 3)], trees=[build_tree(points)])
    return model


@pytest.fixture(scope="module")
def cluster_tree(network: PiCIE) -> ClusterTree:
    return ClusterTree(network.centroid_set(), 3)


def names(*classes: NamedClass) -> ClassNames:
    return ClassNames(3, classes)


def test_the_tree_is_the_one_that_the_tests_say(cluster_tree: ClusterTree) -> None:
    assert [sorted(one) for one in cluster_tree.clusters] == [[0, 1], [2, 3, 4], [5]]
    assert [sorted(one) for one in cluster_tree.nodes[6:10]] == [
        [0, 1],
        [2, 3],
        [2, 3, 4],
        [2, 3, 4, 5],
    ]
    assert [cluster_tree.node_of(cluster) for cluster in range(3)] == [6, 8, 5]
    assert cluster_tree.children[1][:2] == (2, 3)


def test_a_cover_is_exact_and_of_the_largest_parts(cluster_tree: ClusterTree) -> None:
    for count in range(7):
        for chosen in itertools.combinations(range(6), count):
            parts = cluster_tree.cover(frozenset(chosen))
            found = [c for part in parts for c in sorted(cluster_tree.members(part, "x"))]
            assert sorted(found) == list(chosen)
    assert cluster_tree.cover(frozenset(range(6))) == [Part(10, True)]
    assert cluster_tree.cover(frozenset([0, 1, 2, 3, 5])) == [Part(0), Part(7, True), Part(2)]


def test_names_are_given(cluster_tree: ClusterTree) -> None:
    found, said = assign(names(), cluster_tree, parse_assignments(["2=a b", "0=ignore", "n7=c"]))
    assert found.classes == (
        NamedClass("a b", (2,)),
        NamedClass("ignore", (0,), ignore=True),
        NamedClass("c", (), (7,)),
    )
    assert said == ["cluster 2: a b", "cluster 0: ignore", "node 7: c"]


def test_a_cluster_moves_and_the_class_that_has_nothing_left_keeps_its_place(
    cluster_tree: ClusterTree,
) -> None:
    old = names(NamedClass("a", (0,)), NamedClass("b", (1, 2)), NamedClass("planned"))
    found, said = assign(old, cluster_tree, parse_assignments(["0,1=new"]))
    assert found.classes == (
        NamedClass("a"),
        NamedClass("b", (2,)),
        NamedClass("planned"),
        NamedClass("new", (0, 1)),
    )
    assert said == [
        "cluster 0: new (was a)",
        "cluster 1: new (was b)",
        "class 'a' has no clusters left but keeps its id; --clear removes it",
    ]


def test_a_class_keeps_its_place_and_colour_when_it_gains(cluster_tree: ClusterTree) -> None:
    old = names(NamedClass("a", (0,), (), "#000000"), NamedClass("b", (1,)), NamedClass("a", (2,)))
    found, said = assign(old, cluster_tree, parse_assignments(["1=a"]))
    gained = NamedClass("a", (0, 1), (), "#000000")
    assert found.classes == (gained, NamedClass("b"), NamedClass("a", (2,)))
    assert said[0] == "cluster 1: a (was b)"


def test_what_has_the_name_already_stays_as_it_is(cluster_tree: ClusterTree) -> None:
    old = names(NamedClass("a", (0,), (8,)))
    found, said = assign(old, cluster_tree, parse_assignments(["0,n3=a"]))
    assert found == old
    assert said == ["cluster 0: a (unchanged)", "node 3: a (unchanged)"]


@pytest.mark.parametrize("orders", [["n4,n7=a"], ["n4=a", "n7=a"], ["n4=a", "n2,n3=a"]])
def test_parts_that_are_all_of_a_larger_one_of_their_class_replace_it(
    cluster_tree: ClusterTree, orders: list[str]
) -> None:
    old = names(NamedClass("a", (0,), (8,)), NamedClass("b", (2,)))
    parts = parse_assignments(orders)
    found, said = assign(old, cluster_tree, parts)
    below = tuple(part.number for some, _ in parts for part in some)
    assert found.classes == (NamedClass("a", (0,), below), NamedClass("b", (2,)))
    assert said == [f"node {number}: a (unchanged)" for number in below]


def test_a_node_takes_its_part_of_a_cluster_and_leaves_the_rest(cluster_tree: ClusterTree) -> None:
    old = names(NamedClass("a", (1, 2)))
    found, said = assign(old, cluster_tree, parse_assignments(["n3=b"]))
    assert found.classes == (NamedClass("a", (2,), (2, 4)), NamedClass("b", (), (3,)))
    assert said == ["node 3: b (was a)", "cluster 1 is split: a keeps node 2, node 4"]


def test_a_larger_node_swallows_what_is_below_it(cluster_tree: ClusterTree) -> None:
    old = names(NamedClass("a", (0,), (3,)), NamedClass("b", (2,)))
    found, said = assign(old, cluster_tree, parse_assignments(["n9=a"]))
    assert found.classes == (NamedClass("a", (0,), (9,)), NamedClass("b"))
    assert said == [
        "node 9: a (was b)",
        "class 'b' has no clusters left but keeps its id; --clear removes it",
    ]


def test_the_order_of_orders_does_not_matter_to_a_swap(cluster_tree: ClusterTree) -> None:
    old = names(NamedClass("a", (0,)), NamedClass("b", (1,)))
    found, said = assign(old, cluster_tree, parse_assignments(["0=b", "1=a"]))
    assert found.classes == (NamedClass("a", (1,)), NamedClass("b", (0,)))
    assert said == ["cluster 0: b (was a)", "cluster 1: a (was b)"]


def test_after_any_orders_every_centroid_has_the_name_it_got_last(
    network: PiCIE, cluster_tree: ClusterTree
) -> None:
    for texts in itertools.permutations(["n3=a", "0=b", "n8=c", "2,0=a", "n10=d"]):
        check_the_last_name_counts(network, cluster_tree, texts)


def check_the_last_name_counts(
    network: PiCIE, cluster_tree: ClusterTree, texts: tuple[str, ...]
) -> None:
    expected = dict[int, str]()
    found = names()
    for parts, name in parse_assignments(texts):
        found, _ = assign(found, cluster_tree, [(parts, name)])
        for part in parts:
            expected |= dict.fromkeys(cluster_tree.members(part, "x"), name)
    outputs = outputs_of(network.centroid_set(), found)
    for centroid, name in expected.items():
        assert outputs.names[int(outputs.ids[centroid])] == name


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["0=a", "0=b"], r"--set names cluster 0 twice \('a' and 'b'\); keep one of the two"),
        (["1=a", "n8=b"], r"--set names cluster 1 and node 8, which are equal, \('a' and 'b'\)"),
        (["3=a"], "--set: there is no cluster 3; clusters run from 0 to 2"),
        (["n11=a"], "--set: there is no node 11; the tree of 6 centroids has nodes n0 to n10"),
        (["0="], "--set: the name is empty"),
        (["0=cluster 1"], "--set: 'cluster 1' is reserved for clusters without a name"),
    ],
)
def test_orders_that_cannot_be(cluster_tree: ClusterTree, texts: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        assign(names(), cluster_tree, parse_assignments(texts))


@pytest.mark.parametrize(
    "texts",
    [
        ["1=page", "n7=text", "n2=ink"],
        ["n2=ink", "n7=text", "1=page"],
        ["n7=text", "1,1,n4=page", "n2,n2=ink"],
    ],
)
def test_the_smallest_part_decides_whatever_the_order(
    cluster_tree: ClusterTree, texts: list[str]
) -> None:
    found, said = assign(names(), cluster_tree, parse_assignments(texts))
    assert {one.name: parts_of(one) for one in found.merged} == {
        "page": (Part(4, True),),
        "text": (Part(3, True),),
        "ink": (Part(2, True),),
    }
    assert said[0] == "cluster 1: page"
    assert "cluster 1 is split: page keeps node 4" in said


def test_a_part_whose_parts_all_have_names_is_left_without(cluster_tree: ClusterTree) -> None:
    found, said = assign(names(), cluster_tree, parse_assignments(["1=page", "n7=a", "n4=b"]))
    assert [one.nodes for one in found.classes] == [(), (7,), (4,)]
    assert said[-1] == "class 'page' has no clusters left but keeps its id; --clear removes it"


def test_names_are_taken_away(cluster_tree: ClusterTree) -> None:
    old = names(NamedClass("a", (0, 1)), NamedClass("b", (2,)))
    found, said = take_away(old, cluster_tree, parse_parts("n7,2", "x"))
    assert found.classes == (NamedClass("a", (0,), (4,)), NamedClass("b"))
    assert said == [
        "node 7: no name (was a)",
        "cluster 2: no name (was b)",
        "cluster 1 is split: a keeps node 4",
        "class 'b' has no clusters left but keeps its id; --clear removes it",
    ]
    with pytest.raises(ConfigError, match="--unset n7: node 7 has no name; remove it"):
        take_away(found, cluster_tree, parse_parts("n7", "x"))
    with pytest.raises(ConfigError, match="--unset: there is no cluster 9"):
        take_away(found, cluster_tree, parse_parts("9", "x"))


def test_classes_are_taken_out_with_all_their_entries(cluster_tree: ClusterTree) -> None:
    old = names(NamedClass("road", (0,)), NamedClass("b", (1,)), NamedClass("road", (2,)))
    assert remove(old, ["road"]) == (names(NamedClass("b", (1,))), ["removed class 'road'"])
    with pytest.raises(ConfigError, match="--clear rood: no such class; did you mean 'road'"):
        remove(old, ["rood"])
    with pytest.raises(ConfigError, match="--clear road: no such class; there are no classes yet"):
        remove(names(), ["road"])


def test_classes_are_painted() -> None:
    old = names(NamedClass("a", (0,)), NamedClass("a", (1,), (), "#111111"))
    found, said = paint(old, [("a", "#222222")])
    assert found.merged == (NamedClass("a", (0, 1), (), "#222222"),)
    assert said == ["class 'a': #222222"]
    assert paint(found, [("a", "")])[0].merged == (NamedClass("a", (0, 1)),)
    with pytest.raises(ConfigError, match="--colour b: no such class"):
        paint(old, [("b", "#222222")])


def test_a_learnt_classifier_has_clusters_but_no_nodes() -> None:
    model = PiCIE("test_efficientnet", 2, pretrained=False)
    model.set_centroids([torch.randn(4, 2)], [torch.arange(4)], offsets=[torch.ones(4)])
    cluster_tree = ClusterTree(model.centroid_set(), 4)
    found, _ = assign(ClassNames(4), cluster_tree, parse_assignments(["0,3=a", "1=b"]))
    found, _ = assign(found, cluster_tree, parse_assignments(["3=b"]))
    assert found.classes == (NamedClass("a", (0,)), NamedClass("b", (1, 3)))
    with pytest.raises(ConfigError, match="nodes cannot be used: the clusters of this model come"):
        assign(found, cluster_tree, parse_assignments(["n2=a"]))


@pytest.mark.parametrize("clusters", range(2, 7))
def test_at_another_cut_every_centroid_keeps_its_class(
    network: PiCIE, cluster_tree: ClusterTree, clusters: int
) -> None:
    centroids = network.centroid_set()
    before = names(NamedClass("a", (0,)), NamedClass("b", (2,), (7,), "#102030"), NamedClass("c"))
    after, said = recut(before, cluster_tree, ClusterTree(centroids, clusters))
    assert after.clusters == clusters
    assert [(one.name, one.colour) for one in after.classes] == [
        *(("a", ""), ("b", "#102030"), ("c", ""))
    ]
    classes = [outputs_of(centroids, one).ids.tolist() for one in (before, after)]
    named = [[min(number, 3) for number in ids] for ids in classes]  # 3: any without a name
    assert named[0] == named[1]
    assert said[0] == f"3 clusters are now {clusters}; every name stays where it was"


def test_a_finer_cluster_has_the_name_of_the_coarser_one(
    network: PiCIE, cluster_tree: ClusterTree
) -> None:
    finest = ClusterTree(network.centroid_set(), 6)
    after, said = recut(names(NamedClass("a", (0, 2)), NamedClass("b", (1,))), cluster_tree, finest)
    assert after.classes == (NamedClass("a", (5,), (6,)), NamedClass("b", (), (8,)))
    assert len(said) == 1
    again, _ = recut(after, finest, cluster_tree)
    assert again.classes == (NamedClass("a", (0, 2)), NamedClass("b", (1,)))


def test_names_that_meet_in_a_coarser_cluster_stay_and_are_told(
    network: PiCIE, cluster_tree: ClusterTree
) -> None:
    coarse = ClusterTree(network.centroid_set(), 2)
    after, said = recut(names(NamedClass("a", (0,)), NamedClass("b", (1,))), cluster_tree, coarse)
    assert after.classes == (NamedClass("a", (0,)), NamedClass("b", (), (8,)))
    assert said[1] == (
        "1 cluster holds several names, which stay on nodes below: 1 (b, no name); to merge one, "
        "name it: --set 1=NAME"
    )


def test_without_names_only_the_cut_changes(network: PiCIE, cluster_tree: ClusterTree) -> None:
    after, said = recut(names(), cluster_tree, ClusterTree(network.centroid_set(), 4))
    assert (after, said) == (ClassNames(4), ["3 clusters are now 4"])

"""The tree as SVG: every centroid and cluster is on it, in its colour, and nothing crosses."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from picie.reporting.content import Cluster, Node, Tree
from picie.reporting.dendrogram import draw_tree

NOTHING = np.zeros((0, 0))
# 0 and 1 join at 1, 2 and 3 at 2, then with 4 at 3, all at 5.
MERGES = ((0, 1, 1.0), (2, 3, 2.0), (4, 6, 3.0), (5, 7, 5.0))


def cluster(number: int, name: str = "") -> Cluster:
    colour = (200, 10 * number, 0)
    return Cluster(number, name or f"cluster {number}", "", colour, 0.1, 1, NOTHING)


CLUSTERS = {number: cluster(number) for number in range(3)}
TREE = Tree(MERGES, (0, 0, 1, 1, 2), cut=3, suggested=2)


def lines(svg: str, kind: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(svg)
    return [one for one in root.iter() if one.attrib.get("class") == kind]


def test_every_branch_is_there_and_one_cluster_s_have_its_colour() -> None:
    svg = draw_tree(TREE, CLUSTERS)
    own = lines(svg, "own")
    # Two leaves and a bar each for clusters 0 and 1, what leads on from them, and leaf 4.
    strokes = [one.attrib["stroke"] for one in own]
    assert [strokes.count(f"#c8{10 * number:02x}00") for number in range(3)] == [4, 4, 1]
    assert len(lines(svg, "branch")) == 4  # root, two bars, and from (1, 2) to the root
    assert len(lines(svg, "edge")) == len(own)


def test_names_stand_beside_their_leaves_and_are_text() -> None:
    clusters = CLUSTERS | {1: cluster(1, "<road> & " + "long " * 9)}
    root = ElementTree.fromstring(draw_tree(TREE, clusters))
    links = [one for one in root.iter("a")]
    assert [one.attrib["href"] for one in links] == ["#cluster-0", "#cluster-1", "#cluster-2"]
    names = [next(one.iter("text")).text or "" for one in links]
    assert names[1].startswith("<road> & long")
    assert len(names[1]) == 32
    assert names[1].endswith("…")


def test_every_node_has_its_number_and_a_link_where_there_is_a_row() -> None:
    nodes = {number: Node(number, 1, 0.1, 1) for number in range(3, 9)}
    svg = draw_tree(Tree(MERGES, TREE.owners, 3, 2, nodes=nodes), {})
    assert [one.text for one in lines(svg, "node-number")] == [f"n{number}" for number in range(9)]
    links = [one.attrib["href"] for one in ElementTree.fromstring(svg).iter("a")]
    assert links == [f"#n{number}" for number in range(3, 9)]


def test_numbers_of_nodes_that_merge_at_almost_one_distance_do_not_cover_each_other() -> None:
    count = 40
    merges = [(0, 1, 1.0)] + [(count + row - 1, row + 1, 1 + row / 50) for row in range(1, 39)]
    svg = draw_tree(Tree(tuple(merges), (0,) * count, 1, 2), {})
    numbers = [one for one in lines(svg, "node-number") if one.get("text-anchor") == "end"]
    assert len(numbers) == 39
    for place, one in enumerate(numbers):
        for other in numbers[:place]:
            apart = [abs(float(one.attrib[key]) - float(other.attrib[key])) for key in "xy"]
            assert apart[0] >= 15 or apart[1] >= 8


def test_links_of_the_drawing_are_for_pointers() -> None:
    nodes = {number: Node(number, 1, 0.1, 1) for number in range(9)}
    root = ElementTree.fromstring(draw_tree(Tree(MERGES, TREE.owners, 3, 2, nodes=nodes), CLUSTERS))
    assert root.get("aria-hidden") == "true"  # the rows say the same
    assert {one.get("tabindex") for one in root.iter("a")} == {"-1"}


def test_the_cut_lies_between_two_mergers() -> None:
    [cut] = [one for one in lines(draw_tree(TREE, CLUSTERS), "cut") if one.tag == "line"]
    [gap] = [one for one in lines(draw_tree(TREE, CLUSTERS), "gap") if one.tag == "line"]
    x = {height: 34 + 330 * (1 - height / 5) for height in (2, 3, 5)}
    assert x[3] < float(cut.attrib["x1"]) < x[2]
    assert x[5] < float(gap.attrib["x1"]) < x[3]
    same = draw_tree(Tree(MERGES, TREE.owners, 3, 3), CLUSTERS)
    assert "cut at 3, the widest gap" in same
    assert not lines(same, "gap")


def test_leaves_stand_in_an_order_in_which_nothing_crosses() -> None:
    rng = np.random.default_rng(0)
    alive, merges = list(range(20)), []
    for row in range(19):
        left, right = sorted(rng.choice(len(alive), 2, replace=False))
        merges.append((alive.pop(right), alive.pop(left), float(row + 1)))
        alive.append(20 + row)
    svg = draw_tree(Tree(tuple(merges), tuple(range(20)), 20, 3), {})
    spans = re.findall(r'd="M([\d.]+) ([\d.]+)V([\d.]+)"', svg)
    assert len(spans) == 19
    rows = re.findall(r'd="M([\d.]+) ([\d.]+)H([\d.]+)"', svg)
    for x, start, end in ((float(a), *sorted((float(b), float(c)))) for a, b, c in spans):
        for near, y, far in ((float(a), float(b), float(c)) for a, b, c in rows):
            assert not (start < y < end and far < x < near)  # no line through a bar


def test_large_trees_begin_at_their_last_nodes_or_at_their_clusters() -> None:
    count = 400
    merges = [(0, 1, 1.0)] + [(count + row - 1, row + 1, row + 1.0) for row in range(1, count - 1)]
    owners = tuple(max(leaf - 395, 0) for leaf in range(count))
    svg = draw_tree(Tree(tuple(merges), owners, 5, 3), CLUSTERS)
    assert len(lines(svg, "node-number")) == 2 * 64 - 1
    assert [one.text for one in lines(svg, "node-number")][-1] == "n798"
    assert [one.tag for one in lines(svg, "cut")] == ["line", "text"]
    cut = draw_tree(Tree(tuple(merges), owners, 90, 3), CLUSTERS)
    assert len(lines(cut, "node-number")) == 2 * 90 - 1
    assert draw_tree(Tree(tuple(merges), tuple(range(count)), count, 3), {}) == ""
    assert draw_tree(Tree((), (0,), 1, 1), {}) == ""


def test_equal_centroids_are_no_division_by_zero() -> None:
    assert "nan" not in draw_tree(Tree(((0, 1, 0.0),), (0, 1), 2, 2), CLUSTERS)


@pytest.mark.parametrize("cut", [2, 3, 5])
def test_any_cut_can_be_drawn(cut: int) -> None:
    assert f"cut at {cut}" in draw_tree(Tree(MERGES, TREE.owners, cut, 2), CLUSTERS)

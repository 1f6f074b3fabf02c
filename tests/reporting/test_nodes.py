"""Rows of nodes: each once, inside the row above it, with its number, pictures and command."""

import dataclasses
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from picie.reporting.content import Cluster, Crop, Node, Tree
from picie.reporting.nodes import Nodes, crop_styles
from picie.types import IGNORED

NOTHING = np.zeros((0, 0))
# 0 and 1 join as n5, 2 and 3 as n6, then 4 and n6 as n7, all as n8. The cut has 3 clusters.
MERGES = ((0, 1, 1.0), (2, 3, 2.0), (4, 6, 3.0), (5, 7, 5.0))
NODES = {
    number: Node(number, 1 + (number > 4), number / 100, number, ((number % 2, b"over"),))
    for number in range(9)
}
CROPS = (Crop("<a>", b"first"), Crop("b", b"second"))
TREE = Tree(MERGES, (0, 0, 1, 1, 0), 3, 2, (0, 0, 1, 1, 2), NODES, CROPS, "picie name my/run")


def cluster(number: int, name: str, *parts: int) -> Cluster:
    return Cluster(number, name, "", (9, 9, 9), 0.1, 1, NOTHING, parts=parts)


CLUSTERS = {0: cluster(0, "<road>", 4, 5), 1: cluster(1, "cluster 1", 6)}
ROWS = Nodes(TREE, CLUSTERS, 90)


def numbers(html: str) -> list[str]:
    return re.findall(r'<details class="node" id="(n\d+)"', html)


def row(html: str, number: int) -> ElementTree.Element:
    closed = re.sub(r"(<img[^>]*)>", r"\1/>", html)
    root = ElementTree.fromstring(f"<div>{closed}</div>")
    return next(one for one in root.iter("details") if one.get("id") == f"n{number}")


def test_every_node_has_one_row_below_the_cut_inside_its_parent_s() -> None:
    assert numbers(ROWS.at_the_cut()) == ["n5", "n0", "n1", "n6", "n2", "n3", "n4"]
    assert numbers(ROWS.above_the_cut()) == ["n8", "n7"]
    inside = [one.get("id") for one in row(ROWS.at_the_cut(), 6).iter("details")]
    assert inside == ["n6", "n2", "n3"]


def test_a_row_says_what_the_node_is_and_what_is_around_it() -> None:
    found = row(ROWS.at_the_cut(), 6)
    words = " ".join("".join(found.itertext()).split())
    assert words.startswith("n6 cluster 1 6.0 % 2 centroids")
    assert "In 6 of 90 photos. Made of n2 and n3, which merge at distance 2.00." in words
    assert "Merges with n4 into n7 at distance 3.00." in words
    links = [one.get("href") for one in found.iter("a")]
    assert links[:4] == ["#n2", "#n3", "#n4", "#n7"]
    commands = [one.text for one in found.iter("code")]
    assert commands[0] == "picie name my/run --set n6=NAME"
    image = next(found.iter("img"))
    assert image.get("class") == "c0"
    assert image.get("alt") == "Piece of <a>"
    # What a screen reader says of the row is what is seen, without a word for each picture.
    summary = next(found.iter("summary"))
    assert summary.get("aria-label") is None
    assert [one.get("class") for one in summary.iter() if one.get("aria-hidden")] == [
        "swatch",
        "crops",
    ]


def test_nodes_have_the_names_of_their_classes() -> None:
    below = "".join(row(ROWS.at_the_cut(), 1).itertext())
    assert below.startswith("n1 <road>")
    assert "".join(row(ROWS.above_the_cut(), 7).itertext()).startswith("n7 cluster 1 <road>")
    unseen = "".join(row(Nodes(TREE, {}, 90).at_the_cut(), 1).itertext())
    assert unseen.startswith("n1 1.0 % 1 centroid")
    many = dataclasses.replace(TREE, owners=tuple(range(5)))
    named = {number: cluster(number, f"class {number}") for number in range(5)}
    assert "and 2 more" in Nodes(many, named, 90).above_the_cut()


def test_a_class_shows_its_parts_and_a_cluster_its_node() -> None:
    members = ROWS.members(CLUSTERS[0])
    assert re.findall(r'href="#(n\d+)"', members) == ["n5", "n4"]  # the larger one first
    assert "<b>n4</b> <span>cluster 2</span>" in members
    assert members.count("<img") == 2
    assert "open" in members
    assert "open" not in ROWS.members(cluster(0, "many", *range(9)))
    assert ROWS.members(CLUSTERS[1]) == ""
    assert ROWS.fact(CLUSTERS[0]) == ""
    assert re.sub("<[^>]*>", "", ROWS.fact(CLUSTERS[1])) == "n6, made of n2 and n3"
    assert ROWS.fact(cluster(0, "one", 3)).endswith(", one centroid")


def test_only_the_last_nodes_of_a_large_tree() -> None:
    last = dataclasses.replace(TREE, nodes={number: NODES[number] for number in range(4, 9)})
    rows = Nodes(last, CLUSTERS, 90)
    html = rows.at_the_cut()
    assert numbers(html) == ["n5", "n6", "n4"]
    assert "Made of n0 and n1, which" in html  # no links: they have no row
    assert re.sub("<[^>]*>", "", rows.fact(CLUSTERS[1])) == "n6, two nodes that are not shown"
    few = dataclasses.replace(TREE, nodes={8: NODES[8]})
    assert Nodes(few, CLUSTERS, 90).at_the_cut() == ""


def test_a_deep_tree_does_not_nest_without_end() -> None:
    count = 150
    merges = ((0, 1, 1.0), *((count + row - 1, row + 1, row + 1.0) for row in range(1, count - 1)))
    nodes = {number: Node(number, 1, 0.1, 1) for number in range(2 * count - 1)}
    deep = Tree(tuple(merges), (0,) * count, 1, 2, (0,) * count, nodes)
    html = Nodes(deep, {}, 9).at_the_cut()
    assert sorted(numbers(html)) == sorted(f"n{number}" for number in nodes)
    depth = most = 0
    for tag in re.findall(r"</?details", html):
        depth += 1 if tag == "<details" else -1
        most = max(most, depth)
    assert most < 50


@pytest.mark.parametrize("owner", [0, IGNORED])
def test_ignored_clusters_are_nodes_too(owner: int) -> None:
    tree = dataclasses.replace(TREE, owners=(owner,) * 5)
    named = {owner: cluster(owner, "hood")}
    found = row(Nodes(tree, named, 90).at_the_cut(), 5)
    words = " ".join("".join(found.itertext()).split())
    assert words.startswith("n5 cluster 0 hood 5.0 % 2 centroids")


def test_each_crop_is_one_rule() -> None:
    assert crop_styles(CROPS).count("background-image:url(data:image/webp;base64,") == 2
    assert crop_styles(CROPS).startswith(".c0{")

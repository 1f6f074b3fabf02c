"""Colours of nodes and classes: fixed, distinct, shades below and the largest above."""

from picie.studio.colours import free_colours, node_colours, unlike
from picie.visualization.palette import palette
from picie.visualization.thumbnails import colour_code

# Five centroids in two clusters: (0 1) 2 | 3 4; nodes 5 = 0 1, 6 = 5 2, 7 = 3 4, 8 = all.
_CHILDREN = [(0, 1), (5, 2), (3, 4), (6, 7)]
_GROUPS = [0, 0, 0, 1, 1]


def test_clusters_of_the_training_have_the_colours_of_the_palette() -> None:
    colours = node_colours(5, _CHILDREN, _GROUPS)
    assert {colours[6], colours[7]} == {colour_code(row) for row in palette(2)}
    assert colours[8] == colours[6]  # most of its centroids are there


def test_nodes_below_have_shades_of_their_own() -> None:
    colours = node_colours(5, _CHILDREN, _GROUPS)
    assert len({*colours[:6], colours[6], colours[7]}) == 8


def test_without_a_tree_each_centroid_has_a_shade_of_its_cluster() -> None:
    assert len(set(node_colours(5, [], _GROUPS))) == 5
    assert node_colours(3, [], [0, 1, 2]) == [colour_code(row) for row in palette(3)]


def test_black_and_yellow_have_shades_too() -> None:
    groups = [number // 3 for number in range(24)]
    assert len(set(node_colours(24, [], groups))) == 24


def test_a_colour_that_looks_like_another_is_not_taken() -> None:
    assert unlike(["#102030", "#ffffff"], ["#112233"]) == "#ffffff"
    assert unlike(["#102030", "#ffffff"], []) == "#102030"
    assert unlike(["#000000", "#000900"], ["#000000"]) == "#000900"  # the most different one
    assert len(set(free_colours())) == 64


def test_a_shade_of_a_class_is_no_colour_for_another_class() -> None:
    assert unlike(["#f9c03c", "#0072b2"], ["#e69f00"]) == "#0072b2"
    first, second, *_ = free_colours()
    assert unlike([second, "#0072b2"], [first]) == second

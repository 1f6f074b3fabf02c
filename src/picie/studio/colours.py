"""Colours on screen: of the nodes of the tree, and of classes.

A colour never changes with the cut. The clusters of the training have those of their masks. A node
below such a cluster has a shade of its colour, siblings different ones; a node above has the colour
of the cluster that most of its centroids are in.
"""

import colorsys
from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from picie.visualization.arrangement import arranged
from picie.visualization.palette import cielab, palette
from picie.visualization.thumbnails import colour_code

__all__ = ["free_colours", "node_colours", "unlike"]

_FREE = 64

_RANGE = 0.22  # of the lightness of shades, on either side of the colour
_DARKEST, _LIGHTEST = 0.14, 0.9
_ALIKE = 25.0  # distance in CIELAB below which two colours are taken for one, as shades of one are


def node_colours(
    leaves: int, children: Sequence[tuple[int, int]], groups: Sequence[int]
) -> list[str]:
    """The colour of each node, "#rrggbb".

    Args:
        leaves: P, the number of centroids.
        children: the two nodes below each node from P on; none without a tree.
        groups: (P,) the cluster of each centroid in the training.
    """
    every = np.array(groups, np.int64)
    base = arranged(palette(max(groups) + 1), every, children)
    members: list[tuple[int, ...]] = [(leaf,) for leaf in range(leaves)]
    for left, right in children:
        members.append(members[left] + members[right])
    order = members[-1] if children else range(leaves)  # as the tree has them, left to right
    inside: dict[int, list[int]] = {}
    for centroid in order:
        inside.setdefault(groups[centroid], []).append(centroid)
    place = {  # of each centroid in its cluster, 0..1
        centroid: (number + 0.5) / len(every)
        for every in inside.values()
        for number, centroid in enumerate(every)
    }
    colours = []
    for node in members:
        counts = np.bincount([groups[centroid] for centroid in node])
        most = int(counts.argmax())
        colour = tuple(base[most].tolist())
        if np.count_nonzero(counts) == 1 and len(node) < len(inside[most]):
            colour = _shade(colour, sum(place[centroid] for centroid in node) / len(node))
        colours.append(colour_code(colour))
    return colours


@cache
def free_colours() -> tuple[str, ...]:
    """The colours for classes that only marks have, "#rrggbb", in their order."""
    return tuple(colour_code(colour) for colour in palette(_FREE))


def unlike(wanted: Iterable[str], taken: Iterable[str]) -> str:
    """The first colour that nobody would take for one of the others; else the most different.

    Args:
        wanted: one or more, the best first.
        taken: those in use.
    """
    candidates, others = list(wanted), _seen(taken)
    distances = [
        float(np.linalg.norm(others - one, axis=1).min(initial=np.inf)) for one in _seen(candidates)
    ]
    for colour, distance in zip(candidates, distances, strict=True):
        if distance >= _ALIKE:
            return colour
    return candidates[int(np.argmax(distances))]


def _shade(colour: Sequence[int], place: float) -> tuple[int, ...]:
    """The colour, darker for places towards 0 and lighter towards 1."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*(value / 255 for value in colour))
    low = min(max(lightness - _RANGE, _DARKEST), _LIGHTEST - 2 * _RANGE)
    place = 0.8 * place + (0.2 if place >= 0.5 else 0)  # never the colour itself
    shade = colorsys.hls_to_rgb(hue, low + 2 * _RANGE * place, saturation)
    return tuple(round(255 * value) for value in shade)


def _seen(colours: Iterable[str]) -> NDArray[np.float64]:
    """(N, 3) CIELAB of "#rrggbb"."""
    rows = [tuple(bytes.fromhex(colour[1:])) for colour in colours]
    return cielab(np.array(rows, np.uint8).reshape(-1, 3))

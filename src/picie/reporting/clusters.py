"""Clusters in HTML: a bar of their shares, an index, and a card for each."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from picie.reporting.content import Cluster, Patch
from picie.types import IGNORED
from picie.visualization.thumbnails import PATCH_SIDE, colour_code, data_uri, heat_map, text

__all__ = ["card", "index", "percent", "share_bar", "swatch", "whereabouts"]

# Top, bottom, left and right of a box in the image, and whether the place is the box or around it.
_PLACES = {
    "top": ((0, 1 / 3, 0, 1), True),
    "bottom": ((2 / 3, 1, 0, 1), True),
    "left": ((0, 1, 0, 1 / 3), True),
    "right": ((0, 1, 2 / 3, 1), True),
    "centre": ((1 / 4, 3 / 4, 1 / 4, 3 / 4), True),
    "middle, from left to right": ((1 / 3, 2 / 3, 0, 1), True),
    "middle, from top to bottom": ((0, 1, 1 / 3, 2 / 3), True),
    "top left": ((0, 1 / 2, 0, 1 / 2), True),
    "top right": ((0, 1 / 2, 1 / 2, 1), True),
    "bottom left": ((1 / 2, 1, 0, 1 / 2), True),
    "bottom right": ((1 / 2, 1, 1 / 2, 1), True),
    "upper half": ((0, 1 / 2, 0, 1), True),
    "lower half": ((1 / 2, 1, 0, 1), True),
    "left half": ((0, 1, 0, 1 / 2), True),
    "right half": ((0, 1, 1 / 2, 1), True),
    "top and bottom": ((1 / 6, 5 / 6, 0, 1), False),
    "both sides": ((0, 1, 1 / 6, 5 / 6), False),
    "edges all around": ((1 / 6, 5 / 6, 1 / 6, 5 / 6), False),
}
_MOSTLY, _ONLY = 0.55, 0.9  # share of a cluster in its place; from the second on, not "mostly"
_STANDS_OUT = 0.2  # by which that share exceeds the place's share of the image
_LEAST_SEGMENT = 0.002  # smaller shares would be invisible in the bar
_MINUS = "\u2212"
_LATE = 'decoding="async"'  # not loading="lazy": browsers print such images as blanks


def percent(share: float) -> str:
    """A share as text.

    Example:
        >>> percent(0.234), percent(0.0123), percent(0.0001)
        ('23.4 %', '1.2 %', '< 0.1 %')
    """
    return f"{100 * share:.1f} %" if share >= 0.0005 or share == 0 else "< 0.1 %"


def swatch(cluster: Cluster) -> str:
    """A square in the colour of a cluster; hatched for ignored pixels."""
    if cluster.id == IGNORED:
        return '<i class="swatch ignored" aria-hidden="true"></i>'
    colour = colour_code(cluster.colour)
    return f'<i class="swatch" style="background:{colour}" aria-hidden="true"></i>'


def share_bar(clusters: Sequence[Cluster]) -> str:
    """One bar of all pixels, divided into clusters; `index` has the same content as text."""
    segments = "".join(
        f'<i class="{"ignored" if cluster.id == IGNORED else "segment"}" '
        f'style="flex-grow:{cluster.share:.4f};background-color:{colour_code(cluster.colour)}" '
        f'title="{text(cluster.name)}: {percent(cluster.share)}"></i>'
        for cluster in clusters
        if cluster.share >= _LEAST_SEGMENT
    )
    return f'<div class="bar" aria-hidden="true">{segments}</div>'


def index(clusters: Sequence[Cluster]) -> str:
    """Links to the cards, with the share of each cluster."""
    items = "\n".join(
        f'<li><a href="#{_anchor(cluster.id)}">{swatch(cluster)}<span>{text(cluster.name)}</span> '
        f'<b class="number">{percent(cluster.share)}</b></a></li>'
        for cluster in clusters
    )
    return f'<ul class="index">\n{items}\n</ul>'


def card(
    cluster: Cluster,
    clusters: Mapping[int, Cluster],
    photos: int,
    *,
    node: str = "",
    members: str = "",
) -> str:
    """What a cluster looks like, where in the image it lies, and which clusters are most similar.

    Args:
        cluster: the cluster.
        clusters: all of them by id, for links.
        photos: number of photos that were read.
        node: the node that it is, as HTML.
        members: the parts that it is made of, as HTML.
    """
    note = f'<p class="note">{text(cluster.note)}</p>' if cluster.note else ""
    anchor = _anchor(cluster.id)
    parts = [
        f'<article class="card" id="{anchor}" aria-labelledby="name-{anchor}">',
        f'<header>{swatch(cluster)}<h3 id="name-{anchor}">{text(cluster.name)}</h3>{note}'
        f'<p class="share number">{percent(cluster.share)} <span>of the pixels</span></p></header>',
        f'<div class="facts">{_heat(cluster)}'
        f"<dl>{_facts(cluster, clusters, photos, node)}</dl></div>",
        '<div class="strips">',
        _strip("Most typical", cluster.typical, cluster),
        _strip("Least typical", cluster.atypical, cluster),
        members,
        "</div>",
        "</article>",
    ]
    return "\n".join(part for part in parts if part)


def whereabouts(heat: NDArray[np.float64]) -> str:
    """The part of the image that contains most of a cluster, in words.

    It is the one whose share of the cluster exceeds its share of the image by most.

    Args:
        heat: (G, G) share of the photos that have the cluster at each position, 0..1.

    Example:
        >>> whereabouts(np.eye(6)[:1].repeat(6, 0) * [[1], [0], [0], [0], [0], [0]])
        'top left'
    """
    if not heat.any():
        return "nowhere"
    found = "everywhere"
    most = _STANDS_OUT
    for name, (box, belongs) in _PLACES.items():
        top, bottom, left, right = (
            round(share * heat.shape[side // 2]) for side, share in enumerate(box)
        )
        cells = np.full(heat.shape, not belongs)
        cells[top:bottom, left:right] = belongs
        share = float(heat[cells].sum() / heat.sum())
        if share >= _MOSTLY and share - cells.mean() > most:
            found = "mostly " * (share < _ONLY) + name
            most = share - cells.mean()
    return found


def _anchor(cluster: int) -> str:
    return "cluster-ignored" if cluster == IGNORED else f"cluster-{cluster}"


def _heat(cluster: Cluster) -> str:
    if not cluster.heat.size or not cluster.heat.any():
        return ""
    where, most = whereabouts(cluster.heat), 100 * cluster.heat.max()
    height, width = cluster.heat.shape
    return (
        f'<figure class="heat"><img src="{data_uri("image/png", heat_map(cluster.heat))}" '
        f'alt="Position: {where}" title="at one position in up to {most:.0f} % of the photos" '
        f'width="{width}" height="{height}" {_LATE}></figure>'
    )


def _facts(cluster: Cluster, clusters: Mapping[int, Cluster], photos: int, node: str) -> str:
    where = ""
    if cluster.heat.size and cluster.heat.any():
        where = f"<dt>Where</dt><dd>{whereabouts(cluster.heat)}</dd>"
    nearest = [
        f'<a href="#{_anchor(other)}">{swatch(clusters[other])}'
        f"<bdi>{text(clusters[other].name)}</bdi></a> "
        f'<span class="number">{_cosine(cosine)}</span>'
        for other, cosine in cluster.nearest
        if other in clusters
    ]
    listed = "<br>".join(nearest)
    alike = f"<dt>Most similar (1 = the same)</dt><dd>{listed}</dd>" if nearest else ""
    found = (
        f'<a href="#gallery" data-show="{cluster.id}">{cluster.photos:,} of {photos:,} photos</a>'
        if cluster.photos
        else f"none of {photos:,} photos with 0.1 % or more"
    )
    return (
        f"<dt>Found in</dt><dd>{found}</dd>"
        f"{where}{f'<dt>Node</dt><dd>{node}</dd>' if node else ''}{alike}"
    )


def _cosine(value: float) -> str:
    return f"{value:.2f}".replace("-", _MINUS)


def _strip(title: str, patches: Sequence[Patch], cluster: Cluster) -> str:
    if not patches:
        return ""
    items = "".join(
        f'<li><img src="{data_uri("image/webp", patch.image)}" '
        f'alt="Patch of {text(patch.name)}" title="{text(patch.name)}: similarity '
        f'{patch.similarity:.2f}" width="{PATCH_SIDE}" height="{PATCH_SIDE}" {_LATE}></li>'
        for patch in patches
    )
    low, high = sorted((patches[0].similarity, patches[-1].similarity))
    return (
        f'<h4>{title} <span class="number">similarity {_cosine(low)} to {_cosine(high)}</span></h4>'
        f'<ul class="strip" aria-label="{title} patches of {text(cluster.name)}">{items}</ul>'
    )

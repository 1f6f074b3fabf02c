"""Clusters in HTML: a bar of their shares, an index, and a card for each."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from picie.reporting.content import Cluster, Patch
from picie.types import IGNORED
from picie.visualization.thumbnails import PATCH_SIDE, colour_code, data_uri, heat_map, text

__all__ = ["card", "index", "percent", "share_bar", "swatch", "whereabouts"]

_THIRDS = (("upper", "middle", "lower"), ("left", "middle", "right"))
_MOSTLY = 0.55  # share of a cluster in one third of the image from which it is "mostly" there
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

    Args:
        heat: (G, G) share of the photos that have the cluster at each position, 0..1.

    Example:
        >>> whereabouts(np.eye(6)[:1].repeat(6, 0) * [[1], [0], [0], [0], [0], [0]])
        'mostly in the upper third, mostly at the left'
    """
    total = heat.sum()
    if not total:
        return "nowhere"
    phrases = []
    for axis, names in enumerate(_THIRDS):
        parts = [part.sum() / total for part in np.array_split(heat.sum(1 - axis), 3)]
        largest = int(np.argmax(parts))
        if parts[largest] >= _MOSTLY:
            name = names[largest]
            across = "in the middle" if name == "middle" else f"at the {name}"
            phrases.append(f"mostly {across}" if axis else f"mostly in the {name} third")
    return ", ".join(phrases) or "all over the image"


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
        f'<a href="#{_anchor(other)}">{swatch(clusters[other])}{text(clusters[other].name)}</a> '
        f'<span class="number">{f"{cosine:.2f}".replace("-", _MINUS)}</span>'
        for other, cosine in cluster.nearest
        if other in clusters
    ]
    alike = f"<dt>Most similar</dt><dd>{'<br>'.join(nearest)}</dd>" if nearest else ""
    return (
        f'<dt>Found in</dt><dd><a href="#gallery" data-show="{cluster.id}">'
        f"{cluster.photos:,} of {photos:,} photos</a></dd>"
        f"{where}{f'<dt>Node</dt><dd>{node}</dd>' if node else ''}{alike}"
    )


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
        f'<h4>{title} <span class="number">similarity {low:.2f} to {high:.2f}</span></h4>'
        f'<ul class="strip" aria-label="{title} patches of {text(cluster.name)}">{items}</ul>'
    )

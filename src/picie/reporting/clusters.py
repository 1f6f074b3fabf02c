"""Clusters in HTML: their shares as a bar, an index of them, and what each one looks like."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from picie.reporting.content import Cluster, Patch
from picie.types import IGNORED
from picie.visualization.thumbnails import PATCH_SIDE, colour_code, data_uri, heat_map, text

__all__ = ["card", "index", "percent", "share_bar", "swatch", "whereabouts"]

_THIRDS = (("upper", "middle", "lower"), ("left", "middle", "right"))
_MOSTLY = 0.55  # of what a cluster covers, from which one third is its place
_LEAST_SEGMENT = 0.002  # shares below are too thin to be seen in the bar
_MINUS = "\u2212"
_LATE = 'decoding="async"'  # not loading="lazy": browsers print such images as blanks


def percent(share: float) -> str:
    """A share for people.

    Example:
        >>> percent(0.234), percent(0.0123), percent(0.0001)
        ('23.4 %', '1.2 %', '< 0.1 %')
    """
    return f"{100 * share:.1f} %" if share >= 0.0005 or share == 0 else "< 0.1 %"


def swatch(one: Cluster) -> str:
    """A square in the colour of a cluster; hatched for what is ignored."""
    if one.id == IGNORED:
        return '<i class="swatch ignored" aria-hidden="true"></i>'
    colour = colour_code(one.colour)
    return f'<i class="swatch" style="background:{colour}" aria-hidden="true"></i>'


def share_bar(clusters: Sequence[Cluster]) -> str:
    """All pixels as one bar, cut into clusters; the index below says the same in words."""
    segments = "".join(
        f'<i class="{"ignored" if one.id == IGNORED else "segment"}" '
        f'style="flex-grow:{one.share:.4f};background-color:{colour_code(one.colour)}" '
        f'title="{text(one.name)}: {percent(one.share)}"></i>'
        for one in clusters
        if one.share >= _LEAST_SEGMENT
    )
    return f'<div class="bar" aria-hidden="true">{segments}</div>'


def index(clusters: Sequence[Cluster]) -> str:
    """Links to the cards, with the share of each cluster."""
    items = "\n".join(
        f'<li><a href="#{_anchor(one.id)}">{swatch(one)}<span>{text(one.name)}</span> '
        f'<b class="number">{percent(one.share)}</b></a></li>'
        for one in clusters
    )
    return f'<ul class="index">\n{items}\n</ul>'


def card(one: Cluster, clusters: Mapping[int, Cluster], photos: int) -> str:
    """What a cluster looks like, where it is, and what is most like it.

    Args:
        one: the cluster.
        clusters: all of them by id, for links.
        photos: number of photos that were looked at.
    """
    note = f'<p class="note">{text(one.note)}</p>' if one.note else ""
    parts = [
        f'<article class="card" id="{_anchor(one.id)}" aria-labelledby="name-{_anchor(one.id)}">',
        f'<header>{swatch(one)}<h3 id="name-{_anchor(one.id)}">{text(one.name)}</h3>{note}'
        f'<p class="share number">{percent(one.share)} <span>of the pixels</span></p></header>',
        f'<div class="facts">{_heat(one)}<dl>{_facts(one, clusters, photos)}</dl></div>',
        '<div class="strips">',
        _strip("Most typical", one.typical, one),
        _strip("Least typical", one.atypical, one),
        "</div>",
        "</article>",
    ]
    return "\n".join(part for part in parts if part)


def whereabouts(heat: NDArray[np.float64]) -> str:
    """The part of the image that holds most of a cluster, in words.

    Args:
        heat: (G, G), 0 or more.

    Example:
        >>> whereabouts(np.eye(6)[:1].repeat(6, 0) * [[1], [0], [0], [0], [0], [0]])
        'mostly in the upper third, mostly at the left'
    """
    total = heat.sum()
    if not total:
        return "nowhere"
    found = []
    for axis, names in enumerate(_THIRDS):
        parts = [part.sum() / total for part in np.array_split(heat.sum(1 - axis), 3)]
        largest = int(np.argmax(parts))
        if parts[largest] >= _MOSTLY:
            name = names[largest]
            across = "in the middle" if name == "middle" else f"at the {name}"
            found.append(f"mostly {across}" if axis else f"mostly in the {name} third")
    return ", ".join(found) or "all over the image"


def _anchor(cluster: int) -> str:
    return "cluster-ignored" if cluster == IGNORED else f"cluster-{cluster}"


def _heat(one: Cluster) -> str:
    if not one.heat.size or not one.heat.any():
        return ""
    where, most = whereabouts(one.heat), 100 * one.heat.max()
    height, width = one.heat.shape
    return (
        f'<figure class="heat"><img src="{data_uri("image/png", heat_map(one.heat))}" '
        f'alt="Where it is: {where}" title="at one place in up to {most:.0f} % of the photos" '
        f'width="{width}" height="{height}" {_LATE}></figure>'
    )


def _facts(one: Cluster, clusters: Mapping[int, Cluster], photos: int) -> str:
    where = ""
    if one.heat.size and one.heat.any():
        where = f"<dt>Where</dt><dd>{whereabouts(one.heat)}</dd>"
    nearest = [
        f'<a href="#{_anchor(other)}">{swatch(clusters[other])}{text(clusters[other].name)}</a> '
        f'<span class="number">{f"{cosine:.2f}".replace("-", _MINUS)}</span>'
        for other, cosine in one.nearest
        if other in clusters
    ]
    alike = f"<dt>Most like it</dt><dd>{'<br>'.join(nearest)}</dd>" if nearest else ""
    return (
        f'<dt>Found in</dt><dd><a href="#gallery" data-show="{one.id}">'
        f"{one.photos:,} of {photos:,} photos</a></dd>"
        f"{where}{alike}"
    )


def _strip(title: str, patches: Sequence[Patch], one: Cluster) -> str:
    if not patches:
        return ""
    items = "".join(
        f'<li><img src="{data_uri("image/webp", patch.image)}" '
        f'alt="Piece of {text(patch.name)}" title="{text(patch.name)}: similarity '
        f'{patch.similarity:.2f}" width="{PATCH_SIDE}" height="{PATCH_SIDE}" {_LATE}></li>'
        for patch in patches
    )
    low, high = sorted((patches[0].similarity, patches[-1].similarity))
    return (
        f'<h4>{title} <span class="number">similarity {low:.2f} to {high:.2f}</span></h4>'
        f'<ul class="strip" aria-label="{title} pieces of {text(one.name)}">{items}</ul>'
    )

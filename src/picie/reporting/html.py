"""A report as one self-contained HTML page: no other files, fonts or network access.

The page is readable without scripts, can be printed, and follows the reader's colour scheme. A
content security policy stops browsers from fetching anything or running any script but its own.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

from picie.metrics.health import health_warnings
from picie.reporting.clusters import card, index, percent, share_bar, swatch
from picie.reporting.content import Cluster, Document, GalleryImage, Tree
from picie.reporting.dendrogram import draw_tree
from picie.reporting.measures import ShownMeasure, shown_measures
from picie.reporting.nodes import Nodes, crop_styles
from picie.reporting.score_tables import score_tables
from picie.types import IGNORED
from picie.visualization.thumbnails import data_uri, text

__all__ = ["gallery", "is_report", "to_html"]

_MOST_CARDS = 256
_MOST_PROBLEMS = 20_000  # lines
_GROUNDS = (
    "No number here tells good masks from bad ones on all kinds of photos: compare runs on the "
    "same photos, and look at the clusters below."
)
_NODES_NOTE = (
    "Each row opens to the two nodes that it is made of, and holds the command that names it. A "
    "node has the same number at every number of clusters. Its pieces of photos are dealt by the "
    "shares of its centroids; what is violet and hatched belongs to other nodes."
)
_SECTIONS = {
    "summary": "Summary",
    "health": "Health",
    "clusters": "Clusters",
    "gallery": "Gallery",
    "tree": "Tree",
    "score": "Score",
}


def to_html(document: Document) -> str:
    """The whole page; deterministic.

    Args:
        document: the content.
    """
    style, script = _asset("page.css"), _asset("page.js")
    if document.tree is not None:
        style += crop_styles(document.tree.crops)
    title = text(document.title)
    links = "".join(f'<li><a href="#{key}">{name}</a></li>' for key, name in _SECTIONS.items())
    bodies = (_summary, _health, _clusters, _gallery, _tree, _score)
    sections = [
        f'<section id="{key}" aria-labelledby="{key}-title">\n<h2 id="{key}-title">{name}</h2>\n'
        f"{body(document)}\n</section>"
        for (key, name), body in zip(_SECTIONS.items(), bodies, strict=True)
    ]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="generator" content="picie">',
            f'<meta http-equiv="Content-Security-Policy" content="{_policy(script)}">',
            f"<title>{title} - picie report</title>",
            f"<style>\n{style}</style>\n<script>{script}</script>\n</head>\n<body>",
            '<a class="skip" href="#main">Skip to the report</a>',
            f'<header class="masthead"><p class="kind">picie report</p><h1>{title}</h1>'
            f'<p class="lede">{text(document.lede)}</p></header>',
            f'<nav aria-label="Sections"><ul>{links}</ul></nav>',
            '<main id="main">',
            *sections,
            "</main>\n</body>\n</html>\n",
        ]
    )


def is_report(path: Path) -> bool:
    """Whether a file is a page of `to_html`, of this or an earlier version.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    return b" - picie report</title>" in head and head.startswith(b"<!doctype html>")


def _asset(name: str) -> str:
    return (resources.files("picie.reporting") / "assets" / name).read_text(encoding="utf-8")


def _policy(script: str) -> str:
    """Nothing is fetched, images are embedded, and only this script runs."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    return (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _summary(document: Document) -> str:
    named = [cluster for cluster in document.clusters if cluster.id != IGNORED]
    figures = [("photos", f"{document.photos:,}"), ("clusters in use", str(len(named)))]
    if document.score is not None:
        figures += [("mIoU", f"{document.score.miou:.1f} %")]
        figures += [("pixel accuracy", f"{document.score.accuracy:.1f} %")]
    shown = "".join(
        f'<div><dt>{name}</dt><dd class="number">{value}</dd></div>' for name, value in figures
    )
    facts = "".join(
        f"<div><dt>{text(key)}</dt><dd>{text(value)}</dd></div>" for key, value in document.facts
    )
    parts = [
        f'<dl class="figures">{shown}</dl>',
        "<h3>Clusters by their share of the pixels</h3>",
        share_bar(document.clusters),
        index(document.clusters[:_MOST_CARDS]),
        _rest(document),
        f'<h3>Settings</h3>\n<dl class="settings">{facts}</dl>',
        _left_out(document),
        _problems(document.problems),
    ]
    return "\n".join(part for part in parts if part)


def _rest(document: Document) -> str:
    said = []
    beyond = document.clusters[_MOST_CARDS:]
    if beyond:
        share = 100 * sum(cluster.share for cluster in beyond)
        said.append(f"Not shown: {len(beyond)} smaller clusters, {share:.1f} % of the pixels.")
    if document.absent:
        names = ", ".join(document.absent[:20])
        more = f" and {len(document.absent) - 20} more" if len(document.absent) > 20 else ""
        said.append(f"In none of these photos: {names}{more}.")
    return f'<p class="quiet">{text(" ".join(said))}</p>' if said else ""


def _left_out(document: Document) -> str:
    """What was left out of the folder, and photos that show nothing."""
    constant, lines = document.constant, list(document.notes)
    if constant:
        count = f"{len(constant)} photo{'s' * (len(constant) != 1)}"
        lines.append(f"{count} of (nearly) one colour, which show nothing: {', '.join(constant)}")
    if not lines:
        return ""
    items = "".join(f"<li>{text(line)}</li>" for line in lines)
    return f'<details class="problems" open><summary>notes</summary><ul>{items}</ul></details>'


def _problems(problems: tuple[str, ...]) -> str:
    if not problems:
        return ""
    lines = "".join(f"<li>{text(problem)}</li>" for problem in problems[:_MOST_PROBLEMS])
    if len(problems) > _MOST_PROBLEMS:
        lines += f"<li>and {len(problems) - _MOST_PROBLEMS:,} more</li>"
    count = f"skipped {len(problems)} unreadable photo{'s' * (len(problems) != 1)}"
    return f'<details class="problems" open><summary>{count}</summary><ul>{lines}</ul></details>'


def _health(document: Document) -> str:
    rows = "\n".join(_measure(measure) for measure in shown_measures(document.health))
    table = (
        '<div class="wide" tabindex="0" role="region" aria-label="Measures"><table class="health">'
        '<thead><tr><th scope="col">measure</th><th scope="col" class="number">value</th>'
        '<th scope="col">meaning</th></tr></thead>'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )
    curves = (
        '<div class="charts">\n' + "\n".join(document.charts) + "\n</div>"
        if document.charts
        else f'<p class="quiet">{text(document.charts_note)}</p>'
    )
    said = f"{document.health_note} {_GROUNDS if rows else ''}".strip()
    note = f'<p class="quiet">{text(said)}</p>'
    warnings = [
        f'<p class="warning"><b>Warning:</b> {text(warning)}.</p>'
        for warning in health_warnings(document.health)
    ]
    return "\n".join(
        [note, *warnings, *[table] * bool(rows), "<h3>Curves over the epochs</h3>", curves]
    )


def _measure(measure: ShownMeasure) -> str:
    return (
        f'<tr><th scope="row">{text(measure.label)}<br><code>{text(measure.key)}</code></th>'
        f'<td class="number">{text(measure.value)}{_scale(measure)}</td>'
        f"<td>{text(measure.sentence)}</td></tr>"
    )


def _scale(measure: ShownMeasure) -> str:
    if measure.place is None:
        return ""
    return (
        '<svg class="scale" viewBox="-4 0 108 10" aria-hidden="true">'
        '<line class="rail" x1="0" x2="100" y1="5" y2="5"/>'
        f'<circle cx="{100 * measure.place:.1f}" cy="5" r="3.4"/></svg>'
    )


def _clusters(document: Document) -> str:
    by_id = {cluster.id: cluster for cluster in document.clusters}
    nodes = None if document.tree is None else Nodes(document.tree, by_id, document.photos)
    cards = [
        card(
            cluster,
            by_id,
            document.photos,
            node=nodes.fact(cluster) if nodes is not None else "",
            members=nodes.members(cluster) if nodes is not None else "",
        )
        for cluster in document.clusters[:_MOST_CARDS]
    ]
    note = (
        "Largest first. Each patch comes from another photo and is a third of its short side wide; "
        "the ring marks the pixel, and what is violet and hatched belongs to other clusters. "
        "Similarity is the cosine of the pixel's feature and the nearest centroid of the cluster: "
        "1 is the same, 0 unrelated, less than 0 opposite. No value is near for every model: "
        "compare with the other cards. Stronger colour on the small map means more photos have the "
        "cluster there."
    )
    return f'<p class="quiet">{note}</p>\n' + "\n".join(cards)


def _gallery(document: Document) -> str:
    by_id = {cluster.id: cluster for cluster in document.clusters}
    return gallery(document.gallery, by_id, document.gallery_note)


def _tree(document: Document) -> str:
    tree = document.tree
    if tree is None:
        return f'<p class="quiet">{text(document.tree_note)}</p>'
    by_id = {cluster.id: cluster for cluster in document.clusters}
    drawn = draw_tree(tree, by_id)
    parts = [f'<p class="quiet">{text(document.tree_note)}</p>']
    if drawn:
        label = f"Drawing of the tree: {len(tree.owners)} centroids, cut into {tree.cut} clusters"
        label += "; the list below it holds the same nodes" * bool(tree.nodes)
        parts.append(
            f'<div class="wide" tabindex="0" role="region" aria-label="{label}">{drawn}</div>'
        )
    if tree.nodes:
        parts.append(_rows(tree, Nodes(tree, by_id, document.photos)))
    return "\n".join(parts)


def _rows(tree: Tree, nodes: Nodes) -> str:
    """The rows of the nodes, from the cut down and above it."""
    least, most = min(tree.nodes), 2 * len(tree.owners) - 2
    above = nodes.above_the_cut()
    note = _NODES_NOTE
    if least:
        note += f" The page shows the nodes from n{least} on, the last to merge."
    return "\n".join(
        [
            "<h3>Nodes</h3>",
            f'<p class="quiet">{note}</p>',
            '<form class="find js-only"><label for="node">Find a node</label> '
            f'<input id="node" size="6" placeholder="n{most}" autocomplete="off"> '
            "<button>Show</button></form>",
            nodes.at_the_cut(),
            f"<details><summary>Nodes above the cut</summary>{above}</details>" if above else "",
        ]
    )


def _score(document: Document) -> str:
    if document.score is None:
        return f'<p class="quiet">{text(document.score_note)}</p>'
    return score_tables(document.score, {cluster.id: cluster for cluster in document.clusters})


_LEAST_NAMED = 0.005  # share of the pixels; less would be shown as 0 %
_MOST_NAMED, _MOST_IN_ALT = 4, 12  # clusters listed below a photo, and in the alt text of its mask


def gallery(shots: Sequence[GalleryImage], clusters: Mapping[int, Cluster], note: str) -> str:
    """The controls and the photos.

    Args:
        shots: the photos.
        clusters: by id.
        note: how the photos were chosen.
    """
    if not shots:
        return f'<p class="quiet">{text(note)}</p>'
    photos = "\n".join(_figure(shot, clusters) for shot in shots)
    return "\n".join(
        [
            f'<p class="quiet">{text(note)}</p>',
            _tools(shots, clusters),
            f'<div class="shots" id="shots">\n{photos}\n</div>',
        ]
    )


def _tools(shots: Sequence[GalleryImage], clusters: Mapping[int, Cluster]) -> str:
    counts = {number: sum(number in dict(shot.shares) for shot in shots) for number in clusters}
    options = "".join(
        f'<option value="{number}">{text(cluster.name)} ({counts[number]})</option>'
        for number, cluster in clusters.items()
        if counts[number]
    )
    return (
        '<form class="tools js-only" aria-label="What the gallery shows">'
        '<p><label for="mix">Photo</label>'
        '<input type="range" id="mix" min="0" max="100" step="5" value="50" '
        'aria-label="Mask opacity in per cent">'
        '<label for="mix">Mask</label><output id="mix-value" for="mix">50 %</output></p>'
        '<p><label for="show">With</label><select id="show">'
        f'<option value="">any cluster ({len(shots)})</option>{options}</select></p>'
        '<p><label for="order">Sort by</label><select id="order">'
        '<option value="name">name</option><option value="doubt">doubt</option></select></p>'
        '<p><label><input type="checkbox" id="large"> large</label></p>'
        f'<p class="quiet" role="status" id="count">{len(shots)} photos</p>'
        "</form>"
    )


def _figure(shot: GalleryImage, clusters: Mapping[int, Cluster]) -> str:
    width, height = shot.size
    sizes = f'width="{width}" height="{height}" decoding="async"'
    name = text(shot.name)
    named = [(clusters[number], share) for number, share in shot.shares if number in clusters]
    large = [(cluster, share) for cluster, share in named if share >= _LEAST_NAMED]
    parts = "".join(
        f"<li>{swatch(cluster)}<bdi>{text(cluster.name)}</bdi> "
        f"<span>{100 * share:.0f} %</span></li>"
        for cluster, share in large[:_MOST_NAMED]
    )
    more = len(named) - len(large[:_MOST_NAMED])
    parts += f'<li class="quiet">{more} more</li>' if more > 0 else ""
    words = "; ".join(f"{cluster.name} {percent(share)}" for cluster, share in named[:_MOST_IN_ALT])
    words += f"; {len(named) - _MOST_IN_ALT} more" if len(named) > _MOST_IN_ALT else ""
    ids = " ".join(str(number) for number, _ in shot.shares)
    return (
        f'<figure class="shot" data-ids="{ids}" data-doubt="{shot.doubt:.4f}">'
        f'<div class="pair"><img class="photo" src="{data_uri("image/webp", shot.photo)}" '
        f'alt="Photo {name}" {sizes}>'
        f'<img class="mask" src="{data_uri("image/png", shot.mask)}" '
        f'alt="Its mask: {text(words)}" {sizes}></div>'
        f'<figcaption><b>{name}</b> <span class="quiet number">doubt {percent(shot.doubt)}</span>'
        f'<ul class="parts">{parts}</ul></figcaption></figure>'
    )

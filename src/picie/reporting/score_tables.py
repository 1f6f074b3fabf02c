"""Scores against labels in HTML: the totals, each class, and the confusion matrix."""

import io

import numpy as np

from picie.reporting.clusters import swatch
from picie.reporting.content import Cluster, Score
from picie.visualization.confusion_matrix import columns_by_class, draw_confusion
from picie.visualization.thumbnails import data_uri, text

__all__ = ["score_tables"]

_MOST_ROWS, _MOST_COLUMNS = 40, 64  # of a table of numbers; larger matrices become an image
_SHOWN = 0.5  # per cent; cells below it stay empty
_DARK = 50  # per cent from which the background of a cell is dark
_HEADS = ("IoU %", "recall %", "precision %", "pixels %")


def score_tables(score: Score, clusters: dict[int, Cluster]) -> str:
    """The totals, a row for each class, and the confusion matrix.

    Args:
        score: against the labels.
        clusters: by id.
    """
    return "\n".join(
        [
            '<dl class="figures">'
            f'<div><dt>pixel accuracy</dt><dd class="number">{score.accuracy:.1f} %</dd></div>'
            f'<div><dt>mIoU</dt><dd class="number">{score.miou:.1f} %</dd></div></dl>',
            f'<p class="quiet">{text(score.protocol)}</p>',
            *(f"<p>{text(note)}</p>" for note in _notes(score)),
            _classes(score),
            "<h3>Where the pixels of each class went</h3>",
            _matrix(score, clusters),
        ]
    )


def _notes(score: Score) -> tuple[str, ...]:
    named = (
        "Uses names: the classes that clusters are named as are scored, without matching. Pixels "
        "of other names, of clusters without a name and of ignored ones are errors."
    )
    return (*[named] * score.uses_names, *score.notes)


def _classes(score: Score) -> str:
    last = "named" if score.uses_names else "clusters"
    head = "".join(f'<th scope="col" class="number">{name}</th>' for name in _HEADS)
    rows = "\n".join(
        f'<tr><th scope="row">{text(name)}</th>'
        + "".join(f'<td class="number">{_number(value)}</td>' for value in values)
        + f"<td>{text(owned) or '<span class=quiet>none</span>'}</td></tr>"
        for name, values, owned in score.rows
    )
    return (
        '<div class="wide" tabindex="0" role="region" aria-label="Scores of each class">'
        '<table class="scores">'
        f'<thead><tr><th scope="col">class</th>{head}<th scope="col">{last}</th></tr></thead>'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )


def _matrix(score: Score, clusters: dict[int, Cluster]) -> str:
    names = [name for name, _, _ in score.rows]
    if not score.confusion.any():
        return '<p class="quiet">No pixel is labelled.</p>'
    columns_are, one = ("names", "name") if score.uses_names else ("clusters", "cluster")
    explained = (
        f"Rows are true classes, columns are {columns_are} in the order of their classes. Each "
        f"cell shows the share of the row's labelled pixels in that {one}, in per cent; the cell "
        f"of the {one}'s own class is framed."
    )
    if len(names) > _MOST_ROWS or len(score.mapping) > _MOST_COLUMNS:
        file = io.BytesIO()
        draw_confusion(score.confusion, names, score.mapping).save(file, "PNG", optimize=True)
        source = data_uri("image/png", file.getvalue())
        return (
            f'<p class="quiet">{explained}</p><div class="wide" tabindex="0" role="region" '
            'aria-label="Confusion matrix"><img class="matrix" alt="Confusion matrix; picie '
            f'evaluate --json writes the numbers" src="{source}"></div>'
        )
    columns = columns_by_class(score.confusion, names, score.mapping)
    pixels = score.confusion.sum(1)
    head = "".join(
        f'<th scope="col"><span>{_head(*score.columns[column.cluster], clusters)}</span></th>'
        for column in columns
    )
    rows = []
    for row, name in enumerate(names):
        cells = "".join(
            _cell(float(column.counts[row]), int(pixels[row]), own=column.owner == row)
            for column in columns
        )
        rows.append(f'<tr><th scope="row">{text(name)}</th>{cells}</tr>')
    return (
        f'<p class="quiet">{explained}</p><div class="wide" tabindex="0" role="region" '
        'aria-label="Confusion matrix"><table class="matrix"><thead><tr>'
        f"<td></td>{head}</tr></thead><tbody>\n" + "\n".join(rows) + "\n</tbody></table></div>"
    )


def _head(name: str, owner: int, clusters: dict[int, Cluster]) -> str:
    return f"{swatch(clusters[owner]) if owner in clusters else ''}{text(name)}"


def _cell(count: float, total: int, *, own: bool) -> str:
    value = 100 * count / total if total else 0.0
    kinds = ["own"] * own + ["dark"] * (value >= _DARK)
    kind = f' class="{" ".join(kinds)}"' if kinds else ""
    strength = f' style="--share:{min(value, 100) / 100:.2f}"' if value >= _SHOWN else ""
    return f"<td{kind}{strength}>{np.round(value):.0f}</td>" if strength else f"<td{kind}></td>"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"

"""Photos with their masks in HTML.

Without scripts the two stand side by side. With them the mask lies over the photo, and a slider
says how much of it is seen.
"""

from collections.abc import Mapping, Sequence

from picie.report.cards import percent, swatch
from picie.report.document import Cluster, Shot
from picie.visualization.thumbnails import data_uri, text

__all__ = ["gallery"]

_LEAST_NAMED = 0.005  # share of the pixels; less would be called 0 %
_MOST_NAMED, _MOST_TOLD = 4, 12  # clusters below a photo, and in the words for its mask


def gallery(shots: Sequence[Shot], clusters: Mapping[int, Cluster], note: str) -> str:
    """The tools and the photos.

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


def _tools(shots: Sequence[Shot], clusters: Mapping[int, Cluster]) -> str:
    counts = {number: sum(number in dict(shot.shares) for shot in shots) for number in clusters}
    options = "".join(
        f'<option value="{number}">{text(one.name)} ({counts[number]})</option>'
        for number, one in clusters.items()
        if counts[number]
    )
    return (
        '<form class="tools js-only" aria-label="What the gallery shows">'
        '<p><label for="mix">Photo</label>'
        '<input type="range" id="mix" min="0" max="100" step="5" value="50" '
        'aria-label="How much of the mask is seen, in per cent">'
        '<label for="mix">Mask</label><output id="mix-value" for="mix">50 %</output></p>'
        '<p><label for="show">With</label><select id="show">'
        f'<option value="">any cluster ({len(shots)})</option>{options}</select></p>'
        '<p><label><input type="checkbox" id="large"> large</label></p>'
        f'<p class="quiet" role="status" id="count">{len(shots)} photos</p>'
        "</form>"
    )


def _figure(shot: Shot, clusters: Mapping[int, Cluster]) -> str:
    width, height = shot.size
    sizes = f'width="{width}" height="{height}" decoding="async"'
    name = text(shot.name)
    named = [(clusters[one], share) for one, share in shot.shares if one in clusters]
    large = [(one, share) for one, share in named if share >= _LEAST_NAMED]
    parts = "".join(
        f"<li>{swatch(one)}{text(one.name)} <span>{100 * share:.0f} %</span></li>"
        for one, share in large[:_MOST_NAMED]
    )
    more = len(named) - len(large[:_MOST_NAMED])
    parts += f'<li class="quiet">{more} more</li>' if more > 0 else ""
    words = "; ".join(f"{one.name} {percent(share)}" for one, share in named[:_MOST_TOLD])
    words += f"; {len(named) - _MOST_TOLD} more" if len(named) > _MOST_TOLD else ""
    ids = " ".join(str(one) for one, _ in shot.shares)
    return (
        f'<figure class="shot" data-ids="{ids}">'
        f'<div class="pair"><img class="photo" src="{data_uri("image/webp", shot.photo)}" '
        f'alt="Photo {name}" {sizes}>'
        f'<img class="mask" src="{data_uri("image/png", shot.mask)}" '
        f'alt="Its mask: {text(words)}" {sizes}></div>'
        f'<figcaption><b>{name}</b><ul class="parts">{parts}</ul></figcaption></figure>'
    )

"""What people see of a model and of the mask of a photo, in a notebook and as one line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picie.config import Config
from picie.metrics.health import Health
from picie.models.class_names import ClassNames
from picie.runtime import notebook
from picie.runtime.printable import printable
from picie.types import IGNORED, LabelsUsed
from picie.visualization.labelled import labelled_overlay, write_labels
from picie.visualization.masks import overlay
from picie.visualization.palette import Colours, palette
from picie.visualization.thumbnails import colour_code, data_uri, fit_photo

__all__ = [
    "Described",
    "area_shares",
    "model_html",
    "model_line",
    "photo_html",
    "photo_line",
    "photo_overlay",
]

_SIDE = 420  # longest side of an image in a notebook, in pixels
_BYTES = 60_000  # of each of the two images of a photo
_LETTERS = 12  # height of the text in its regions, in pixels
_ROWS = 40  # classes in a legend
_NAMES = 6  # classes in one line


class Described(Protocol):
    """What is shown of a `Segmenter`."""

    config: Config
    device: Any
    class_names: ClassNames | None
    run: Path | None

    @property
    def clusters(self) -> int:
        """N, the number of ids."""

    @property
    def names(self) -> tuple[str, ...]:
        """N names by id."""

    @property
    def colours(self) -> Colours:
        """(N, 3) uint8 sRGB by id."""

    @property
    def labels(self) -> LabelsUsed | None:
        """What it has learnt from a person."""

    @property
    def health(self) -> Health:
        """Measures that need no labels."""


def model_line(model: Described) -> str:
    """A model in one line: what it tells apart, its network, its origin."""
    config = model.config
    named = _visible(model)
    origin = "not on disk" if model.run is None else f"from {model.run}"
    network = f"{config.backbone} at {config.size} px on {model.device}"
    names = f" ({_few(named)})" * bool(named)
    return printable(f"<Segmenter: {_told_apart(model, names)}; {network}; {origin}>")


def model_html(model: Described) -> str:
    """A model as HTML: its classes with colours, its network, and what its health warns of."""
    config = model.config
    origin = "" if model.run is None else f" from {model.run}"
    learnt = "" if model.labels is None else ", taught with labels"
    health = model.health
    verdict = "; ".join(health.warnings) or "no warning" * bool(health)
    rows = list(enumerate(model.names))[:_ROWS]
    codes = [colour_code(colour) for colour in (model.colours[:_ROWS] if rows else ())]
    more = model.clusters - len(rows)
    return notebook.card(
        f"Segmenter{origin}",
        notebook.paragraph(f"{_told_apart(model)}{learnt}"),
        notebook.legend((code, *_numbered(*row)) for code, row in zip(codes, rows, strict=True)),
        notebook.paragraph(f"... and {more} more" * bool(more), quiet=True),
        notebook.paragraph(
            f"{config.backbone} at {config.size} px on {model.device}; objective "
            f"{config.objective}; post-processing: {config.post_processing}",
            quiet=True,
        ),
        notebook.paragraph(f"Health: {verdict}" * bool(verdict), quiet=True),
    )


def _numbered(number: int, name: str) -> tuple[str, ...]:
    return (name,) if name == f"cluster {number}" else (str(number), name)


def _told_apart(model: Described, names: str = "") -> str:
    if not model.clusters:
        return "no clusters learnt yet"
    if model.class_names is None:
        return f"{model.clusters} clusters without names"
    classes = len(_visible(model))
    rest = model.clusters - classes
    count = f"{classes} class{'es' * (classes != 1)}{names}"
    return count + f" and {rest} cluster{'s' * (rest != 1)} without a name" * bool(rest)


def _visible(model: Described) -> list[str]:
    """The names that masks have."""
    entries = () if model.class_names is None else model.class_names.merged
    return [one.name for one in entries if not one.ignore]


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMES]) + f", and {len(names) - _NAMES} more" * (len(names) > _NAMES)


def area_shares(mask: NDArray[Any]) -> dict[int, float]:
    """The share of each id that occurs, 0..1, largest first; that of IGNORED last.

    Args:
        mask: (H, W) ids 0..N-1, or IGNORED.
    """
    ids, counts = np.unique(mask, return_counts=True)
    order = sorted(range(len(ids)), key=lambda place: (ids[place] == IGNORED, -counts[place]))
    return {int(ids[place]): float(counts[place] / mask.size) for place in order}


def photo_line(name: str, problem: str, mask: NDArray[Any] | None, names: Sequence[str]) -> str:
    """The mask of a photo in one line: its size, and what covers most of it."""
    if mask is None:
        return printable(f"<Prediction of {name}: {problem or 'no mask'}>")
    parts = [f"{_name(number, names)} {share:.0%}" for number, share in area_shares(mask).items()]
    return printable(
        f"<Prediction of {name or 'an image'}, {mask.shape[1]} x {mask.shape[0]}: {_few(parts)}>"
    )


def photo_html(
    name: str,
    image: NDArray[np.uint8],
    mask: NDArray[Any] | None,
    names: Sequence[str],
    colours: Colours | None,
    problem: str = "",
) -> str:
    """A photo, its overlay and the share of each class, as HTML.

    Args:
        name: of the photo.
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) ids or IGNORED; None = there is only a problem to show.
        names: by id; () = "cluster 0" and so on.
        colours: (N, 3) uint8 sRGB; None = those of the palette.
        problem: why there is no mask.
    """
    if mask is None:
        return notebook.card(name, notebook.paragraph(problem or "no mask"))
    colours = _fitting(mask, colours)
    small, small_mask = _shrunk(image, mask)
    marked = Image.fromarray(overlay(small, small_mask, colours))
    write_labels(marked, small_mask, _labels(len(colours), names), _LETTERS)
    shares = list(area_shares(mask).items())
    shown, rest = shares[:_ROWS], shares[_ROWS:]
    return notebook.card(
        f"{name or 'image'}, {mask.shape[1]} x {mask.shape[0]} pixels",
        _picture(small, "photo"),
        _picture(np.asarray(marked), "photo with its mask"),
        notebook.legend(
            (
                colour_code(colours[number]) if number != IGNORED else "",
                _name(number, names),
                f"{share:.1%}",
            )
            for number, share in shown
        ),
        notebook.paragraph(f"... and {len(rest)} more" * bool(rest), quiet=True),
    )


def photo_overlay(
    image: NDArray[np.uint8], mask: NDArray[Any], names: Sequence[str], colours: Colours | None
) -> Image.Image:
    """The mask over the photo, with labels in large regions and a legend below.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) ids or IGNORED.
        names: by id; () = only numbers are shown.
        colours: (N, 3) uint8 sRGB; None = those of the palette.
    """
    fitting = _fitting(mask, colours)
    return labelled_overlay(image, mask, fitting, _labels(len(fitting), names))


def _fitting(mask: NDArray[Any], colours: Colours | None) -> Colours:
    return palette(max(1, int(mask.max()) + 1)) if colours is None else colours


def _labels(count: int, names: Sequence[str]) -> list[str]:
    """What is written into regions: a name, or "" where the number says it all."""
    given = names[:count] if names else [f"cluster {number}" for number in range(count)]
    return ["" if name == f"cluster {number}" else name for number, name in enumerate(given)]


def _name(number: int, names: Sequence[str]) -> str:
    if number == IGNORED:
        return "ignored"
    return names[number] if number < len(names) else f"cluster {number}"


def _picture(image: NDArray[np.uint8], about: str) -> str:
    return notebook.picture(data_uri("image/webp", fit_photo(image, _BYTES)), about)


def _shrunk(image: NDArray[np.uint8], mask: NDArray[Any]) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Both with a longest side of 420 pixels at most; lines of an overlay stay visible."""
    height, width = mask.shape
    factor = min(1.0, _SIDE / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    photo = Image.fromarray(image).resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    rows = (np.arange(size[1]) + 0.5) * height // size[1]
    columns = (np.arange(size[0]) + 0.5) * width // size[0]
    return np.asarray(photo), mask[np.ix_(rows.astype(int), columns.astype(int))]

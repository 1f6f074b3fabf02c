"""The card of a model: README.md with the front matter that the hub reads."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from picie.errors import ConfigError

__all__ = ["Card", "card_text", "check_licence"]

_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_MEANINGS = {
    "view_agreement": "share of pixels that get the same cluster in two views",
    "view_information": "what the cluster in one view says about that in the other, 0 to 1",
    "effective_clusters": "clusters in use, from the entropy of their sizes",
    "largest_cluster": "share of the largest cluster",
    "position_information": "what the place in the image says about the cluster, 0 to 1",
    "silhouette": "mean silhouette of pixel features, -1 to 1",
    "pictures": "images that this was measured on",
    "half_agreement": "adjusted Rand index of clusterings of two halves of the images",
}
_PROTOCOL = ("split", "images", "size", "crop", "matching", "clusters", "post_processing")


@dataclass(frozen=True)
class Card:
    """What a card says. Nothing in it may name a path.

    Attributes:
        source: user/name on the hub, or "" for a folder.
        version: of picie.
        names: of the classes by id.
        colours: "#rrggbb" of each.
        ignored: names of classes whose pixels are void.
        images: that it was learnt from; None where that is not known any more.
        dataset: known data set that they belong to, or "".
        settings: by name.
        health: label-free measures by name.
        scores: as `picie evaluate --json` writes them, or empty.
        licence: identifier that the hub knows, such as apache-2.0; "" = none is named.
        sheet: file of the image sheet beside the card, or "".
    """

    source: str
    version: str
    names: Sequence[str]
    colours: Sequence[str]
    ignored: Sequence[str]
    images: int | None
    dataset: str
    settings: Mapping[str, Any]
    health: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)
    licence: str = ""
    sheet: str = ""


def check_licence(licence: str) -> None:
    """Refuse what is no identifier of a licence; "" is none.

    Raises:
        ConfigError: other characters than those of an identifier.
    """
    if licence and not _LICENCE.fullmatch(licence):
        raise ConfigError(
            f"licence {licence!r}: give an identifier that the hub knows, such as apache-2.0, "
            "cc-by-4.0 or other"
        )


def card_text(card: Card) -> str:
    """The whole README.md."""
    parts = [
        _front_matter(card),
        f"# {card.source.rpartition('/')[2] or 'Segmentation learnt without labels'}",
        _what(card),
        f"![Photos, their masks, and both blended]({card.sheet})" if card.sheet else "",
        "## Use\n\n" + _use(card),
        "## Classes\n\n" + _classes(card),
        "## Learnt from\n\n" + _learnt_from(card),
        "## Health, without labels\n\n" + _health(card.health) if card.health else "",
        "## Scores against labels\n\n" + _scores(card.scores) if card.scores else "",
        "## Settings\n\n"
        + _table(("setting", "value"), [(k, _shown(v)) for k, v in card.settings.items()]),
        "## Limits\n\nClusters follow looks, not meaning: things that look alike may share one, "
        "and one kind of thing may be split over two. Small and thin things are often missed. On "
        "images of another kind than those it was learnt from, expect less.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(card: Card) -> str:
    lines = ["---", "library_name: picie", "pipeline_tag: image-segmentation"]
    lines += [f"license: {card.licence}"] * bool(card.licence)
    lines += ["tags:", "- picie", "- semantic-segmentation", "- unsupervised", "- clustering"]
    return "\n".join([*lines, "---"])


def _what(card: Card) -> str:
    return (
        f"Semantic segmentation in {len(card.names)} classes, learnt without labels by PiCIE "
        "(Cho, Mall, Bala and Hariharan, CVPR 2021) with picie "
        f"{card.version}: pixel features of a network are clustered, and a pixel belongs to the "
        "nearest cluster. The file `model.safetensors` holds network and centroids, `config.json` "
        "the settings" + (", `classes.toml` the names." if _named(card) else ".")
    )


def _use(card: Card) -> str:
    source = card.source or "path/to/this/folder"
    return (
        f'```python\nimport picie\n\nmodel = picie.load("{source}")\n'
        'mask = model.predict("photo.jpg")  # (H, W) ids, at the photo\'s own size\n```'
    )


def _classes(card: Card) -> str:
    rows = [
        (str(number), name, f"`{colour}`")
        for number, (name, colour) in enumerate(zip(card.names, card.colours, strict=True))
    ]
    text = _table(("id", "class", "colour"), rows)
    if card.ignored:
        text += f"\n\nIn masks -1, void: {', '.join(_plain(name) for name in card.ignored)}."
    return text


def _learnt_from(card: Card) -> str:
    count = "a folder of images" if card.images is None else f"{card.images} images"
    known = f" of {_plain(card.dataset)}" if card.dataset else ""
    return f"{count[0].upper()}{count[1:]}{known}, without labels. The weights hold none of them."


def _health(health: Mapping[str, float]) -> str:
    rows = [(name, f"{value:.3g}", _MEANINGS.get(name, "")) for name, value in health.items()]
    return _table(("measure", "value", "meaning"), rows)


def _scores(scores: Mapping[str, Any]) -> str:
    protocol = scores.get("protocol", {})
    dataset = protocol.get("dataset", "")
    rows = [("dataset", dataset)] if dataset not in ("", "folder") else []
    rows += [(name, _shown(protocol[name])) for name in _PROTOCOL if name in protocol]
    totals = [
        (title, f"{float(scores[name]):.1f} %")
        for name, title in (("miou", "dataset mIoU"), ("accuracy", "pixel accuracy"))
        if name in scores
    ]
    return _table(("score, or part of its protocol", "value"), totals + rows)


def _named(card: Card) -> bool:
    return bool(card.ignored) or any(not one.startswith("cluster ") for one in card.names)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *[[_plain(cell) for cell in row] for row in rows]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(str(one) for one in value)
    return str(value) if value != "" else "-"


def _plain(text: str) -> str:
    """Text in which Markdown and HTML see no marks of theirs."""
    marks = r"([\\|*<>\[\]]|(?<![^\W_])_|_(?![^\W_]))"  # inside a word _ is none
    escaped = re.sub(marks, r"\\\1", text)
    return " ".join(escaped.split())

"""The card of a model: README.md with front matter for the hub."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from picie.errors import ConfigError
from picie.metrics.health import MEASURES
from picie.types import LabelsUsed

__all__ = ["Card", "card_text", "check_licence", "markdown_text"]

_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_MARKUP = re.compile(
    r"[\\`|*<>\[\]~$@]"
    r"|(?<![^\W_])_|_(?![^\W_])"  # _ inside a word is not markup
    r"|&(?=#?\w+;)|(?<=:)/(?=/)|(?<=www)\."  # entities, and addresses that would become links
)
_PROTOCOL = (
    *("split", "images", "size", "crop", "matching", "uses_names", "clusters", "post_processing"),
    "labels_used",
)


@dataclass(frozen=True)
class Card:
    """The content of a card. It must not contain any path.

    Attributes:
        source: hf://user/name, or "" for a folder.
        version: of picie.
        names: of the classes by id.
        colours: "#rrggbb" of each.
        ignored: names of classes whose pixels are void.
        images: number of training images; None if unknown.
        dataset: known data set of the training images, or "".
        settings: by name.
        health: label-free measures by name.
        scores: as written by `picie evaluate --json`, or empty.
        licence: identifier of the hub, such as apache-2.0; "" = not stated.
        sheet: file of the image sheet beside the card, or "".
        labels: what a person taught it; None = it has learnt without labels.
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
    labels: LabelsUsed | None = None


def check_licence(licence: str) -> None:
    """Refuse what is not an identifier of a licence; "" is allowed.

    Raises:
        ConfigError: characters that an identifier cannot have.
    """
    if licence and not _LICENCE.fullmatch(licence):
        raise ConfigError(
            f"licence {licence!r}: give an identifier that the hub knows, such as apache-2.0, "
            "cc-by-4.0 or other"
        )


def card_text(card: Card) -> str:
    """The whole README.md."""
    title = markdown_text(card.source.rpartition("/")[2]) or _title(card)
    parts = [
        _front_matter(card),
        f"# {title}",
        _what(card),
        f"![Photos, their masks, and both blended]({card.sheet})" if card.sheet else "",
        "## Use\n\n" + _use(card),
        "## Classes\n\n" + _classes(card),
        "## Training images\n\n" + _learnt_from(card),
        "## Health (no labels used)\n\n" + _health(card.health) if card.health else "",
        "## Scores against labels\n\n" + _scores(card.scores) if card.scores else "",
        "## Settings\n\n"
        + _table(
            ("setting", "value"),
            [(markdown_text(k), markdown_text(_shown(v))) for k, v in card.settings.items()],
        ),
        "## Limits\n\nClusters follow appearance, not meaning: things that look alike may share a "
        "cluster, and one kind of thing may be split over two. Small and thin things are often "
        "missed. Expect less on images unlike the training images.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _title(card: Card) -> str:
    taught = "with few labels" if card.labels is not None else "without labels"
    return f"Segmentation learnt {taught}"


def _front_matter(card: Card) -> str:
    lines = ["---", "library_name: picie", "pipeline_tag: image-segmentation"]
    lines += [f"license: {card.licence}"] * bool(card.licence)
    kind = "unsupervised" if card.labels is None else "weakly-supervised"
    lines += ["tags:", "- picie", "- semantic-segmentation", f"- {kind}", "- clustering"]
    return "\n".join([*lines, "---"])


def _what(card: Card) -> str:
    return (
        f"Semantic segmentation into {len(card.names)} classes, learnt without labels by PiCIE "
        "(Cho, Mall, Bala and Hariharan, CVPR 2021) with picie "
        f"{card.version}: the pixel features of a network are clustered, and each pixel belongs "
        "to the nearest cluster. `model.safetensors` contains the network and the centroids, "
        "`config.json` the settings"
        + (", `classes.toml` the names." if _named(card) else ".")
        + _taught(card)
    )


def _taught(card: Card) -> str:
    if card.labels is None:
        return ""
    return (
        f"\n\n**Labels were used.** A person corrected the clusters: they have learnt from "
        f"{card.labels}. Scores of this model are not those of a method without labels."
    )


def _use(card: Card) -> str:
    source = card.source or "path/to/this/folder"
    return (
        f"```python\nimport picie\n\nmodel = picie.load({json.dumps(source, ensure_ascii=False)})\n"
        'mask = model.predict("photo.jpg")  # (H, W) ids, at the photo\'s own size\n```'
    )


def _classes(card: Card) -> str:
    rows = [
        (str(number), markdown_text(name), f"`{colour}`")
        for number, (name, colour) in enumerate(zip(card.names, card.colours, strict=True))
    ]
    text = _table(("id", "class", "colour"), rows)
    if card.ignored:
        text += (
            f"\n\nVoid (-1 in masks): {', '.join(markdown_text(name) for name in card.ignored)}."
        )
    return text


def _learnt_from(card: Card) -> str:
    count = "a folder of images" if card.images is None else f"{card.images} images"
    known = f" of {markdown_text(card.dataset)}" if card.dataset else ""
    unlabelled = ", without labels" if card.labels is None else ", few of them with labels"
    return f"{count[0].upper()}{count[1:]}{known}{unlabelled}. The weights contain none of them."


def _health(health: Mapping[str, float]) -> str:
    rows = [
        (
            markdown_text(name),
            f"{value:.3g}",
            markdown_text(MEASURES[name].meaning) if name in MEASURES else "",
        )
        for name, value in health.items()
    ]
    return _table(("measure", "value", "meaning"), rows)


def _scores(scores: Mapping[str, Any]) -> str:
    protocol = scores.get("protocol", {})
    dataset = protocol.get("dataset", "")
    rows = [("dataset", markdown_text(dataset))] if dataset not in ("", "folder") else []
    rows += [
        (name, markdown_text(_shown(protocol[name]))) for name in _PROTOCOL if name in protocol
    ]
    totals = [
        (title, f"{float(scores[name]):.1f} %")
        for name, title in (("miou", "dataset mIoU"), ("accuracy", "pixel accuracy"))
        if name in scores
    ]
    return _table(("score or protocol", "value"), totals + rows)


def _named(card: Card) -> bool:
    return bool(card.ignored) or any(not name.startswith("cluster ") for name in card.names)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(str(item) for item in value)
    return str(value) if value != "" else "-"


def markdown_text(text: str) -> str:
    r"""Text that Markdown shows as it is: in one line, without markup, HTML or links.

    Example:
        >>> markdown_text("a|b <img src=x>")
        'a\\|b \\<img src=x\\>'
    """
    return " ".join(_MARKUP.sub(r"\\\g<0>", text).split())

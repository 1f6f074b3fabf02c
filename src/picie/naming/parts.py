"""The parts that names refer to: clusters of a cut and nodes of the tree, and their notation."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from picie.errors import ConfigError
from picie.models.class_names import NamedClass, check_colour

__all__ = ["Part", "parse_assignments", "parse_colours", "parse_parts", "parts_of", "with_parts"]

_PART = re.compile(r"(n?)(\d{1,9})")


@dataclass(frozen=True)
class Part:
    """A cluster of the cut, or a node of the tree with everything below it.

    Attributes:
        number: of the cluster, or of the node.
        is_node: whether it is a node.
    """

    number: int
    is_node: bool = False

    def __str__(self) -> str:
        return f"{'node' if self.is_node else 'cluster'} {self.number}"

    @property
    def short(self) -> str:
        """As on the command line: 5, or n70."""
        return f"{'n' if self.is_node else ''}{self.number}"


def parts_of(named_class: NamedClass) -> tuple[Part, ...]:
    """The clusters and then the nodes of a class."""
    return (*map(Part, named_class.clusters), *(Part(number, True) for number in named_class.nodes))


def with_parts(named_class: NamedClass, parts: Sequence[Part]) -> NamedClass:
    """The same class with other clusters and nodes."""
    return replace(
        named_class,
        clusters=tuple(part.number for part in parts if not part.is_node),
        nodes=tuple(part.number for part in parts if part.is_node),
    )


def parse_parts(text: str, where: str) -> tuple[Part, ...]:
    """Read "7,9,n70".

    Args:
        text: cluster numbers, and nodes with an n in front, separated by commas.
        where: prefix of error messages.

    Raises:
        ConfigError: any other text.
    """
    parts = []
    for word in text.split(","):
        match = _PART.fullmatch(word.strip())
        if match is None:
            raise ConfigError(
                f"{where}: {word.strip()!r} is neither a cluster like 7 nor a node like n70; "
                "separate several with commas"
            )
        parts.append(Part(int(match[2]), bool(match[1])))
    return tuple(parts)


def parse_assignments(texts: Sequence[str]) -> list[tuple[tuple[Part, ...], str]]:
    """Read texts such as "7,9=building": parts, and the name they get.

    Raises:
        ConfigError: a text of another form.
    """
    assignments = []
    for text in texts:
        left, equals, name = text.partition("=")
        if not equals:
            raise ConfigError(
                f"--set {text!r}: write clusters, = and a name, such as 7,9=building; quote a name "
                'with spaces: "3=traffic light"'
            )
        assignments.append((parse_parts(left, f"--set {text!r}"), name.strip()))
    return assignments


def parse_colours(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Read "road=#804080" and "road=auto": a name, and its colour or "" for one of the palette.

    Raises:
        ConfigError: a text of another form.
    """
    colours = []
    for text in texts:
        name, equals, colour = text.rpartition("=")
        if not equals:
            raise ConfigError(
                f"--colour {text!r}: write a name, = and a colour, such as road=#804080"
            )
        if colour != "auto":
            check_colour(colour, f"--colour {text!r}")
        colours.append((name.strip(), "" if colour == "auto" else colour))
    return colours

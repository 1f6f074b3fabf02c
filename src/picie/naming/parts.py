"""What a name is given to: clusters of a cut and nodes of the tree, and how people write them."""

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


def parts_of(one: NamedClass) -> tuple[Part, ...]:
    """The clusters and then the nodes of a class."""
    return (*map(Part, one.clusters), *(Part(number, True) for number in one.nodes))


def with_parts(one: NamedClass, parts: Sequence[Part]) -> NamedClass:
    """The same class, made of other clusters and nodes."""
    return replace(
        one,
        clusters=tuple(part.number for part in parts if not part.is_node),
        nodes=tuple(part.number for part in parts if part.is_node),
    )


def parse_parts(text: str, where: str) -> tuple[Part, ...]:
    """Read "7,9,n70".

    Args:
        text: cluster numbers, and nodes with an n in front, separated by commas.
        where: start of the message.

    Raises:
        ConfigError: something else.
    """
    parts = []
    for word in text.split(","):
        found = _PART.fullmatch(word.strip())
        if found is None:
            raise ConfigError(
                f"{where}: {word.strip()!r} is neither a cluster like 7 nor a node like n70; "
                "separate several by commas"
            )
        parts.append(Part(int(found[2]), bool(found[1])))
    return tuple(parts)


def parse_assignments(texts: Sequence[str]) -> list[tuple[tuple[Part, ...], str]]:
    """Read "7,9=building" and the like: parts, and the name they get.

    Raises:
        ConfigError: a text of another form.
    """
    found = []
    for text in texts:
        left, equals, name = text.partition("=")
        if not equals:
            raise ConfigError(
                f"--set {text!r}: write clusters, = and a name, such as 7,9=building; quote a name "
                'with spaces: "3=traffic light"'
            )
        found.append((parse_parts(left, f"--set {text!r}"), name.strip()))
    return found


def parse_colours(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Read "road=#804080" and "road=auto": a name, and its colour or "" for one of the palette.

    Raises:
        ConfigError: a text of another form.
    """
    found = []
    for text in texts:
        name, equals, colour = text.rpartition("=")
        if not equals:
            raise ConfigError(
                f"--colour {text!r}: write a name, = and a colour, such as road=#804080"
            )
        if colour != "auto":
            check_colour(colour, f"--colour {text!r}")
        found.append((name.strip(), "" if colour == "auto" else colour))
    return found

"""Shards: every image belongs to one of N parts, by the hash of its name.

An image stays in its part when others are added, and machines need not talk to agree.
"""

import hashlib
import re
from dataclasses import dataclass

from picie.errors import ConfigError

__all__ = ["Shard", "parse_shard"]

_TEXT = re.compile(r"(\d{1,6})/(\d{1,6})")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of the parts.

    Attributes:
        number: 1..count.
        count: of all parts.
    """

    number: int = 1
    count: int = 1

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def part(self) -> str:
        """Its name in that of a list of masks; "" if there is only one part."""
        return f"{self.number}-of-{self.count}" if self.count > 1 else ""

    def holds(self, name: str) -> bool:
        """Whether an image of this name is in the part."""
        if self.count == 1:
            return True
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8]) % self.count == self.number - 1


def parse_shard(text: str) -> Shard:
    """The shard of a text such as "3/16"; "" = all images.

    Raises:
        ConfigError: another text, or a number outside 1..count.
    """
    if not text:
        return Shard()
    found = _TEXT.fullmatch(text)
    number, count = (int(part) for part in found.groups()) if found else (0, 0)
    if not 1 <= number <= count:
        raise ConfigError(
            f"shard {text!r}: give number/count, from 1/{count or 16} to "
            f"{count or 16}/{count or 16}; where jobs count from 0, add 1"
        )
    return Shard(number, count)

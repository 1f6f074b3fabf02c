"""Which names and colours a class may have."""

import re

from picie.errors import ConfigError

__all__ = ["check_colour", "check_name"]

_RESERVED = re.compile(r"cluster \d+")
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")


def check_name(name: str, where: str, *, ignore: bool = False) -> None:
    """Refuse a name that masks, lists and command lines could not carry.

    Args:
        name: of a class.
        where: start of the message.
        ignore: whether its pixels are void.

    Raises:
        ConfigError: it is empty, has more than one line, or is reserved.
    """
    if not name.strip():
        raise ConfigError(f"{where}: the name is empty; give it a name, or remove the entry")
    if name != name.strip() or not name.isprintable():
        raise ConfigError(
            f"{where}: the name {name!r} begins or ends with a space, or holds a line break or a "
            "control character; correct it"
        )
    if _RESERVED.fullmatch(name):
        raise ConfigError(
            f"{where}: {name!r} is what clusters without a name are called; choose another name"
        )
    if name == "ignore" and not ignore:
        raise ConfigError(
            f"{where}: the name 'ignore' is for pixels that are void; add ignore = true, or choose "
            "another name"
        )


def check_colour(colour: str, where: str) -> None:
    """Refuse what is no colour.

    Raises:
        ConfigError: not of the form "#rrggbb".
    """
    if not _COLOUR.fullmatch(colour):
        raise ConfigError(
            f'{where}: {colour!r} is no colour; give red, green and blue like "#804080"'
        )

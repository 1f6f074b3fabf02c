"""The decoder's start against PCA of the stages by hand."""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from picie.config import make_config
from picie.models.pca import StageMoments
from picie.models.picie import PiCIE
from picie.training.decoder_init import start_decoder
from picie.types import Batch

CONFIG = make_config(size=64, base_size=64, feature_size=8)
PLAIN = CONFIG.model_copy(update={"objective": "frozen"})


@pytest.fixture
def network() -> PiCIE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PiCIE("test_efficientnet", 8, pretrained=False)


def make_images(side: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (4, 3, side, side), generator=generator, dtype=torch.uint8)


def batches(images: Tensor, size: int) -> Iterator[Batch]:
    for start in range(0, len(images), size):
        part = images[start : start + size]
        yield Batch(torch.arange(start, start + len(part)), part)


def test_without_images_nothing_changes(network: PiCIE) -> None:
    before = copy.deepcopy(network.state_dict())
    assert not start_decoder(network, [], CONFIG)
    assert all(torch.equal(before[name], t) for name, t in network.state_dict().items())


def test_the_decoder_is_the_pca_of_the_stages_and_nothing_else_changes(network: PiCIE) -> None:
    before = copy.deepcopy(network).eval()
    assert start_decoder(network.train(), batches(make_images(), 4), PLAIN)
    moments = StageMoments(before.backbone.channels, before.backbone.strides)
    with torch.no_grad():
        for image in make_images():
            moments.update(before.backbone(image[None].float() / 255))
    before.decoder.start_from(*moments.projection(8))
    after = network.state_dict()
    for name, tensor in before.state_dict().items():
        if name.startswith("decoder"):
            torch.testing.assert_close(after[name].abs(), tensor.abs(), atol=1e-3, rtol=1e-3)
        else:
            assert torch.equal(after[name], tensor), name


def test_the_start_does_not_depend_on_the_batches(network: PiCIE) -> None:
    other = copy.deepcopy(network)
    start_decoder(network, batches(make_images(), 4), CONFIG)
    start_decoder(other, batches(make_images(), 3), CONFIG)
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-4, rtol=1e-3)


def test_features_of_the_start_are_centred_and_of_length_one(network: PiCIE) -> None:
    start_decoder(network, batches(make_images(), 4), PLAIN)
    with torch.no_grad():
        features = network.eval()(make_images().float() / 255)
    points = features.permute(1, 0, 2, 3).flatten(1)
    assert points.mean(1).abs().max() < 0.1
    assert 0.3 < points.square().sum(0).mean() < 1.5


def test_a_background_that_fills_the_images_does_not_become_the_origin(network: PiCIE) -> None:
    images = torch.full((4, 3, 256, 256), 200, dtype=torch.uint8)
    images[:, :, :64, :64] = make_images()  # a sixteenth of each image
    lengths = {}
    for objective in ("frozen", "picie"):
        config = make_config(objective=objective, size=256, base_size=256, feature_size=8)
        start_decoder(network, batches(images, 4), config)
        with torch.no_grad():
            found = network.eval()(images.float() / 255)
        lengths[objective] = float(found[:, :, 40:, 40:].norm(dim=1).mean())
    assert lengths["picie"] > 2 * lengths["frozen"]


def test_only_the_origin_differs_without_training(network: PiCIE) -> None:
    other = copy.deepcopy(network)
    start_decoder(network, batches(make_images(), 4), PLAIN)
    start_decoder(other, batches(make_images(), 4), CONFIG)
    with torch.no_grad():
        images = make_images().float() / 255
        shift = network.eval()(images) - other.eval()(images)
    one = shift[:1, :, :1, :1]
    assert float(one.norm()) > 1e-3
    torch.testing.assert_close(shift, one.expand_as(shift), atol=1e-4, rtol=1e-3)


def test_crops_are_brought_to_the_size_of_the_view(network: PiCIE) -> None:
    sizes: list[torch.Size] = []
    network.backbone.register_forward_pre_hook(lambda _, args: sizes.append(args[0].shape))
    start_decoder(network, batches(make_images(side=80), 4), CONFIG)
    assert [size for size in sizes if size[0] == 4] == [(4, 3, 64, 64)]

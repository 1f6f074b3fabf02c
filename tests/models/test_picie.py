import pytest
import torch
from torch import Tensor

from picie.errors import NotFittedError
from picie.models.picie import PiCIE


@pytest.fixture
def model() -> PiCIE:
    torch.manual_seed(0)
    built = PiCIE("test_resnet", 8, pretrained=False)
    built.eval()
    return built


def sets(views: int, count: int = 5) -> list[Tensor]:
    draws = torch.Generator().manual_seed(0)
    return [torch.randn(count, 8, generator=draws) for _ in range(views)]


@pytest.mark.parametrize(
    ("height", "width", "h", "w"), [(64, 96, 16, 24), (33, 65, 9, 17), (50, 31, 13, 8)]
)
def test_features_lie_on_the_finest_grid(
    model: PiCIE, height: int, width: int, h: int, w: int
) -> None:
    images = torch.rand(2, 3, height, width)
    features = model(images).detach()
    assert model.stride == 4
    assert features.shape == (2, 8, h, w)
    torch.testing.assert_close(features, model.decoder(model.backbone(images)).detach())
    lengths = features.norm(dim=1)
    assert float((lengths - 1).abs().max()) > 1e-2  # not normalised


def test_a_image_does_not_see_its_batch(model: PiCIE) -> None:
    images = torch.rand(3, 3, 40, 40)
    torch.testing.assert_close(model(images)[1:2], model(images[1:2]), rtol=1e-4, atol=1e-5)


def test_a_new_model_has_no_centroids(model: PiCIE) -> None:
    assert model.clusters == 0
    assert model.centroids.shape == (0, 0, 8)
    with pytest.raises(NotFittedError, match=r"no centroids for view 1 .*0 sets.*picie train"):
        model.view_centroids(0)


@pytest.mark.parametrize("views", [1, 2])
def test_centroids_come_back_per_view(model: PiCIE, views: int) -> None:
    centroids = [one.double().requires_grad_() for one in sets(views)]
    groups = [torch.tensor([0, 1, 0, 2, 1]), torch.tensor([2, 2, 1, 0, 0])][:views]
    model.set_centroids(centroids, groups)
    assert model.clusters == 3
    for view in range(views):
        kept, belongs, offsets = model.view_centroids(view)
        assert offsets.tolist() == [0] * 5
        torch.testing.assert_close(kept, centroids[view].detach().float())
        assert not kept.requires_grad
        assert kept.dtype == torch.float32
        assert torch.equal(belongs, groups[view])


def test_a_view_that_was_not_learnt_is_an_error(model: PiCIE) -> None:
    model.set_centroids(sets(1), [torch.arange(5)])
    with pytest.raises(NotFittedError, match=r"no centroids for view 2 .*1 sets"):
        model.view_centroids(1)


def test_centroids_travel_with_the_weights_and_are_not_trained(model: PiCIE) -> None:
    model.set_centroids(sets(2), [torch.arange(5), torch.arange(5).flip(0)])
    state = model.state_dict()
    assert torch.equal(state["centroids"], torch.stack(sets(2)))
    assert torch.equal(state["groups"][1], torch.arange(5).flip(0))
    assert not {"centroids", "groups", "offsets"} & dict(model.named_parameters()).keys()


def test_new_centroids_replace_the_old_ones(model: PiCIE) -> None:
    model.set_centroids(sets(2), [torch.arange(5)] * 2)
    model.set_centroids(sets(1, count=3), [torch.zeros(3, dtype=torch.int64)])
    assert model.centroids.shape == (1, 3, 8)
    assert model.clusters == 1


def test_gradients_reach_backbone_and_decoder(model: PiCIE) -> None:
    model(torch.rand(2, 3, 32, 32)).square().mean().backward()
    for part in (model.backbone, model.decoder):
        gradients = [p.grad for p in part.parameters() if p.grad is not None]
        assert gradients
        assert sum(float(g.abs().sum()) for g in gradients) > 0


def test_offsets_belong_to_a_learnt_classifier(model: PiCIE) -> None:
    offsets = [torch.arange(5.0, requires_grad=True)]
    model.set_centroids(sets(1), [torch.arange(5)], offsets)
    assert model.view_centroids(0)[2].tolist() == [0, 1, 2, 3, 4]
    model.set_centroids(sets(1), [torch.arange(5)])
    assert not model.view_centroids(0)[2].any()


def test_a_state_without_offsets_has_none(model: PiCIE) -> None:
    model.set_centroids(sets(2), [torch.arange(5)] * 2)
    state = {k: v for k, v in model.state_dict().items() if k != "offsets"}
    model.restore(state)
    assert model.offsets.shape == (2, 5)
    assert not model.offsets.any()

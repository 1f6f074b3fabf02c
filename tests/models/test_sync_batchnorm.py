import copy
import threading
from collections.abc import Callable

import pytest
import timm
import torch
from torch import Tensor, nn

from picie.models.folding import folded
from picie.models.picie import PiCIE
from picie.models.sync_batchnorm import share_batch_statistics
from picie.runtime.distributed import Processes


class Meeting:
    """Adds tensors up over threads, with gradients: as processes would, without starting any."""

    def __init__(self, count: int) -> None:
        self.count, self.parts = count, dict[int, Tensor]()
        self.barrier = threading.Barrier(count)

    def sum_for(self, rank: int) -> Callable[[Tensor], Tensor]:
        def add(values: Tensor) -> Tensor:
            self.parts[rank] = values
            self.barrier.wait()
            total = torch.stack([self.parts[other] for other in range(self.count)]).sum(0)
            self.barrier.wait()
            return total

        return add


def layers(kind: str) -> nn.Module:
    torch.manual_seed(0)
    if kind == "plain":
        network: nn.Module = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2)
        )
    else:  # timm's layer carries the activation
        network = timm.create_model("test_efficientnet", features_only=True)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.double().train()


def last(values: Tensor | list[Tensor]) -> Tensor:
    return values if isinstance(values, Tensor) else values[-1]


@pytest.mark.parametrize("kind", ["plain", "timm"])
def test_parts_of_a_batch_are_normalised_as_the_whole(kind: str) -> None:
    images = torch.rand(5, 3, 32, 32, dtype=torch.float64)
    whole = layers(kind)
    shares = [copy.deepcopy(whole) for _ in range(3)]
    expected = last(whole(images))
    meeting, found = Meeting(3), dict[int, Tensor]()
    parts = [images[:3], images[3:3], images[3:]]  # one has no image

    def run(rank: int) -> None:
        share_batch_statistics(shares[rank], meeting.sum_for(rank))
        found[rank] = last(shares[rank](parts[rank]))

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    torch.testing.assert_close(torch.cat([found[0], found[1], found[2]]), expected)
    for share in shares:
        for name, tensor in whole.state_dict().items():
            torch.testing.assert_close(share.state_dict()[name], tensor, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", ["plain", "timm"])
def test_one_process_gets_what_torch_computes(kind: str) -> None:
    images = torch.rand(4, 3, 32, 32, dtype=torch.float64)
    plain = layers(kind)
    shared = copy.deepcopy(plain)
    share_batch_statistics(shared, Processes().differentiable_sum)
    for network in (plain, shared):
        last(network(images)).square().sum().backward()
    for (name, one), other in zip(plain.named_parameters(), shared.parameters(), strict=True):
        if one.grad is not None:
            torch.testing.assert_close(other.grad, one.grad, rtol=1e-3, atol=1e-5, msg=name)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(shared.state_dict()[name], tensor, rtol=1e-5, atol=1e-7)
    assert plain.state_dict().keys() == shared.state_dict().keys()


def test_running_statistics_are_used_as_ever() -> None:
    plain = layers("plain").eval()
    shared = copy.deepcopy(plain)

    def never(values: Tensor) -> Tensor:
        raise AssertionError("nothing is shared outside training")

    share_batch_statistics(shared, never)
    images = torch.rand(2, 3, 8, 8, dtype=torch.float64)
    assert torch.equal(plain(images), shared(images))


def test_shared_statistics_are_folded_too() -> None:
    network = PiCIE("test_efficientnet", 8, pretrained=False).eval()
    share_batch_statistics(network, Processes().differentiable_sum)
    lean = folded(network)
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert not any(isinstance(module, nn.BatchNorm2d) for module in lean.modules())
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(lean(images), network(images), rtol=1e-3, atol=1e-4)


def test_a_copy_normalises_with_statistics_of_its_own() -> None:
    shared = layers("plain")
    share_batch_statistics(shared, Processes().differentiable_sum)
    other = copy.deepcopy(shared)
    before = {name: tensor.clone() for name, tensor in shared.state_dict().items()}
    other(torch.rand(2, 3, 8, 8, dtype=torch.float64))
    assert all(torch.equal(tensor, before[name]) for name, tensor in shared.state_dict().items())


def test_a_batch_without_any_image_leaves_the_statistics() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3)).train()
    share_batch_statistics(network, Processes().differentiable_sum)
    before = {name: one.clone() for name, one in network.state_dict().items()}
    assert network(torch.empty(0, 3, 8, 8)).shape[0] == 0
    for name, one in network.state_dict().items():
        if "running" in name:
            assert torch.equal(one, before[name]), name

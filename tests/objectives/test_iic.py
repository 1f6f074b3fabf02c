import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from picie.errors import DataError
from picie.objectives.iic import iic_loss, joint_distributions, mutual_information

B, K, H, W = 2, 3, 5, 4


def chances(seed: int) -> Tensor:
    return torch.randn(B, K, H, W, generator=torch.Generator().manual_seed(seed)).softmax(1)


def slow_joint(first: Tensor, second: Tensor, down: int, right: int) -> Tensor:
    table = torch.zeros(K, K, dtype=torch.float64)
    for b in range(B):
        for y in range(H):
            for x in range(W):
                if 0 <= y + down < H and 0 <= x + right < W:
                    one, two = first[b, :, y, x], second[b, :, y + down, x + right]
                    table += torch.outer(one, two).double()
    table = (table + table.T) / 2
    return table / table.sum()


def slow_information(joint: Tensor) -> float:
    total = 0.0
    for k in range(len(joint)):
        for m in range(len(joint)):
            p = float(joint[k, m])
            if p > 0:
                total += p * math.log(p / (float(joint[k].sum()) * float(joint[:, m].sum())))
    return total


@pytest.mark.parametrize("displacement", [0, 1, 2])
def test_joint_distributions_equal_a_slow_loop(displacement: int) -> None:
    first, second = chances(0), chances(1)
    found = joint_distributions(first, second, displacement)
    steps = range(-displacement, displacement + 1)
    expected = [slow_joint(first, second, down, right) for down in steps for right in steps]
    torch.testing.assert_close(found, torch.stack(expected).float())


def test_information_equals_a_slow_loop() -> None:
    joint = joint_distributions(chances(0), chances(1), 1)
    expected = [slow_information(one) for one in joint]
    assert mutual_information(joint).tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("classes", [2, 5, 27])
def test_independent_classes_share_nothing_and_perfect_ones_log_k(classes: int) -> None:
    uniform = torch.full((classes, classes), 1 / classes**2)
    assert float(mutual_information(uniform)) == pytest.approx(0, abs=1e-6)
    perfect = torch.eye(classes) / classes
    assert float(mutual_information(perfect)) == pytest.approx(math.log(classes), rel=1e-5)
    collapsed = torch.zeros(classes, classes)
    collapsed[1, 1] = 1
    assert float(mutual_information(collapsed)) == pytest.approx(0, abs=1e-6)


def test_the_loss_of_perfect_balanced_agreement_is_minus_log_k() -> None:
    labels = torch.arange(K * 4).remainder(K).view(1, K, 4)
    logits = 50 * F.one_hot(labels, K).permute(0, 3, 1, 2).float()
    assert float(iic_loss(logits, logits, 0)) == pytest.approx(-math.log(K), rel=1e-4)
    assert float(iic_loss(torch.zeros(1, K, 3, 4), logits, 0)) == pytest.approx(0, abs=1e-5)


def test_renaming_classes_or_exchanging_views_changes_nothing() -> None:
    first, second = chances(0).log(), chances(1).log()
    value = iic_loss(first, second, 1)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(iic_loss(first[:, order], second[:, order], 1), value)
    torch.testing.assert_close(iic_loss(second, first, 1), value)


def test_a_step_against_the_gradient_raises_the_information() -> None:
    first, second = (chances(s).log().requires_grad_() for s in (0, 1))
    before = iic_loss(first, second, 1)
    before.backward()
    assert first.grad is not None
    assert second.grad is not None
    after = iic_loss(first.detach() - first.grad, second.detach() - second.grad, 1)
    assert float(after) < float(before.detach())


def test_parts_of_the_images_add_up_to_the_whole() -> None:
    first, second = chances(0), chances(1)
    whole = joint_distributions(first, second, 1)
    sums: list[Tensor] = []
    joint_distributions(first[1:], second[1:], 1, lambda t: sums.append(t) or t)  # type: ignore[func-returns-value]
    shared = joint_distributions(first[:1], second[:1], 1, lambda t: t + sums[0])
    torch.testing.assert_close(shared, whole)


@pytest.mark.parametrize(
    ("shape", "displacement"), [((B, K, H, W + 1), 1), ((B, K, H, W), W), ((B, K, H, W), H)]
)
def test_views_must_fit(shape: tuple[int, ...], displacement: int) -> None:
    with pytest.raises(DataError, match="give equal shapes larger than the displacement"):
        joint_distributions(torch.rand(B, K, H, W), torch.rand(shape), displacement)

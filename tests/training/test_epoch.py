import math
from typing import Any

import pytest
import torch

from picie.training.epoch import EpochTotals, epoch_line
from picie.types import Losses


def totals(clusters: int = 4) -> EpochTotals:
    return EpochTotals(labels=torch.zeros(2, clusters, dtype=torch.int64))


def losses(total: float, within: float, cross: float) -> Losses:
    whole, first, second = (torch.tensor(float(v)) for v in (total, within, cross))
    return Losses(whole.requires_grad_(), {"within": first, "cross": second})


def labels(first: list[int], second: list[int]) -> torch.Tensor:
    return torch.tensor([first, second])


def test_losses_are_means_over_steps_and_keep_no_graph() -> None:
    epoch = totals()
    epoch.add(losses(3.0, 2.0, 4.0), labels([1, 0, 0, 0], [1, 0, 0, 0]), 8)
    epoch.add(losses(2.0, 1.0, 3.0), labels([1, 0, 0, 0], [1, 0, 0, 0]), 5)
    assert not any(value.requires_grad for value in epoch.losses.values())
    summary = epoch.summary()
    assert (summary["loss"], summary["within"], summary["cross"]) == (2.5, 1.5, 3.5)
    assert summary["images"] == 13
    assert epoch.steps == 2


def test_effective_clusters_are_the_exponential_of_the_entropy() -> None:
    epoch = totals()
    epoch.add(losses(1, 1, 1), labels([5, 0, 3, 0], [2, 2, 2, 2]), 1)
    epoch.add(losses(1, 1, 1), labels([1, 0, 3, 0], [2, 2, 2, 2]), 1)
    summary = epoch.summary()
    assert summary["cluster_shares"] == [[0.5, 0.0, 0.5, 0.0], [0.25] * 4]
    assert summary["effective_clusters"] == pytest.approx([2.0, 4.0])
    uneven = totals(2)
    uneven.add(losses(1, 1, 1), labels([9, 1], [10, 0]), 1)
    expected = math.exp(-(0.9 * math.log(0.9) + 0.1 * math.log(0.1)))
    assert uneven.summary()["effective_clusters"] == pytest.approx([expected, 1.0])


def test_shares_sum_to_one_up_to_their_five_digits() -> None:
    epoch = totals(3)
    epoch.add(losses(1, 1, 1), labels([1, 1, 1], [2, 5, 6]), 1)
    for shares in epoch.summary()["cluster_shares"]:
        assert sum(shares) == pytest.approx(1, abs=2e-5)
        assert all(share == round(share, 5) for share in shares)


def test_many_pixels_do_not_overflow() -> None:
    epoch = totals(2)
    for _ in range(3):
        epoch.add(losses(1, 1, 1), labels([2**33, 2**33], [2**34, 0]), 1)
    assert epoch.summary()["effective_clusters"] == pytest.approx([2.0, 1.0])


def test_an_epoch_without_steps_has_a_summary() -> None:
    summary = totals().summary()
    assert summary["images"] == 0
    assert all(math.isfinite(value) for value in summary["effective_clusters"])


def test_seconds_are_copied() -> None:
    epoch = totals()
    epoch.seconds["train"] = 2.5
    summary = epoch.summary()
    epoch.seconds["train"] = 9.0
    assert summary["seconds"] == {"train": 2.5}
    assert totals().seconds == {}  # two epochs share no dictionary


def test_the_note_tells_loss_and_speed() -> None:
    epoch = totals()
    epoch.add(losses(3.0, 2.0, 4.0), labels([1, 0, 0, 0], [1, 0, 0, 0]), 8)
    epoch.add(losses(2.0, 1.0, 3.0), labels([1, 0, 0, 0], [1, 0, 0, 0]), 4)
    assert epoch.note(2.0) == "loss 2.500, 6.0 images/s"


RECORD: dict[str, Any] = {
    "epoch": 1,
    "loss": 1.23456,
    "within": 1.2,
    "cross": 1.3,
    "kmeans_objective": [0.25, 0.5],
    "effective_clusters": [12.34, 13.0],
    "seconds": {"cluster": 10.4, "train": 30.3},
}


def test_the_line_of_an_epoch() -> None:
    assert epoch_line(RECORD, 10) == (
        "epoch 2/10: loss 1.2346 (within 1.2000, cross 1.3000), k-means 0.2500, "
        "effective clusters 12.3 and 13.0, 41 s"
    )


def test_the_line_ends_with_the_scores_where_there_are_any() -> None:
    line = epoch_line(RECORD | {"accuracy": 51.53, "miou": 15.09}, 10)
    assert line.endswith("41 s, accuracy 51.5, mIoU 15.1")


def test_the_line_names_what_the_objective_has() -> None:
    record = {k: v for k, v in RECORD.items() if k not in ("within", "cross", "kmeans_objective")}
    line = epoch_line(record | {"mutual_information": 1.5, "effective_clusters": [3.0]}, 10)
    assert line == (
        "epoch 2/10: loss 1.2346 (mutual information 1.5000), effective clusters 3.0, 41 s"
    )

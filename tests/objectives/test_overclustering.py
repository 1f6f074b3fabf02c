import math

import pytest
import torch

from picie.errors import ConfigError
from picie.objectives.picie import add_auxiliary, log_ratio_weights
from picie.types import Losses


def test_weights_sum_to_one_and_favour_the_coarser_clustering() -> None:
    main, auxiliary = log_ratio_weights(27, 100)
    assert main + auxiliary == pytest.approx(1)
    assert (round(main, 3), round(auxiliary, 3)) == (0.583, 0.417)
    assert log_ratio_weights(8, 8) == (0.5, 0.5)


def test_losses_that_start_at_log_k_start_equal() -> None:
    main, auxiliary = log_ratio_weights(11, 100)
    assert main * math.log(11) == pytest.approx(auxiliary * math.log(100))


@pytest.mark.parametrize("pair", [(1, 100), (27, 1)])
def test_one_cluster_has_no_logarithm_to_share(pair: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="give 2 or more of both"):
        log_ratio_weights(*pair)


def test_both_losses_are_weighted_and_their_parts_kept() -> None:
    main = Losses(torch.tensor(2.0), {"within": torch.tensor(1.0), "cross": torch.tensor(3.0)})
    other = Losses(torch.tensor(4.0), {"within": torch.tensor(5.0)})
    both = add_auxiliary(main, other, (0.75, 0.25))
    assert float(both.total) == 2.5
    assert {name: float(value) for name, value in both.parts.items()} == {
        "within": 1,
        "cross": 3,
        "within_auxiliary": 5,
    }

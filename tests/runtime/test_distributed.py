"""One process, and what several share. Training by several is tested in `training/test_shared`."""

from pathlib import Path

import pytest
import torch

from picie.errors import ConfigError
from picie.runtime.distributed import Processes, join_processes, leave_processes


def test_two_processes_add_up(pair: Path) -> None:
    first, second = (torch.load(pair / f"sums{rank}.pt") for rank in range(2))
    assert (first["main"], second["main"]) == (True, False)
    assert (first["share"], second["share"]) == ([5, 7, 9], [6, 8])
    for rank, found in enumerate((first, second)):
        assert found["device"] == "cpu"
        assert found["sum"].tolist() == [2.0, 10.0]
        assert found["sum of one"] == 7
        assert found["mine"] == 3 + rank  # the argument stays
        assert found["gathered"] == [{"rank": 0}, {"rank": 1}]
        # y = (x0 + x1)^2, asked for in both processes: dy/dx is 2 (x0 + x1) from each
        assert found["gradient of a square"] == 12
        assert torch.equal(found["gradient"], torch.arange(24.0).view(2, 3, 2, 2))
        assert len(set(found["strides"])) == 1  # of the gradient, and of its weight
        assert not found["gradient of nothing"].any()


def test_a_single_process_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with join_processes("toaster") as alone:  # which devices there are is another's question
        pass
    assert alone == Processes()
    assert alone.main
    assert alone.share([1, 2, 3]) == [1, 2, 3]
    values = torch.ones(2, requires_grad=True)
    assert alone.sum(values) is values
    assert alone.differentiable_sum(values) is values
    assert alone.gather("x") == ["x"]
    alone.sum_gradients([values])
    assert values.grad is None
    alone.wait()
    leave_processes()


@pytest.mark.parametrize("device", ["mps", "cuda:1", "toaster"])
def test_devices_that_several_processes_cannot_use(
    monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    text = f"device '{device}' cannot be used by several processes"
    with pytest.raises(ConfigError, match=text), join_processes(device):
        pass

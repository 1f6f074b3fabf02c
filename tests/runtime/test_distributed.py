"""One process, and what several share. Training by several is tested in `test_training_shared`."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from picie.errors import ConfigError
from picie.runtime.distributed import Processes, join_processes, leave_processes

PROGRAM = """
import sys, torch
from picie.runtime.distributed import join_processes, leave_processes

here = join_processes("cpu")
assert here.count == 2 and here.device == "cpu" and here.main == (here.rank == 0)
assert here.share([5, 6, 7, 8, 9]) == ([5, 7, 9] if here.main else [6, 8])
assert here.sum(torch.tensor([1.0, 10.0 * here.rank])).tolist() == [2.0, 10.0]
mine = torch.tensor(3.0 + here.rank)
assert here.sum(mine) == 7 and mine == 3 + here.rank  # the argument stays
assert here.gather({"rank": here.rank}) == [{"rank": 0}, {"rank": 1}]

# y = (x0 + x1)^2, asked for in both processes: dy/dx is 2 (x0 + x1) from each
x = torch.tensor(1.0 + here.rank, requires_grad=True)
here.differentiable_sum(x).square().backward()
assert x.grad == 12, x.grad

weight = torch.zeros(2, 3, 2, 2).to(memory_format=torch.channels_last).requires_grad_()
unused = torch.zeros(4, requires_grad=True)
if here.main:  # the other has no image, and no gradient
    (weight * torch.arange(24.0).view(2, 3, 2, 2)).sum().backward()
here.sum_gradients([weight, unused])
assert torch.equal(weight.grad, torch.arange(24.0).view(2, 3, 2, 2))
assert weight.grad.stride() == weight.stride()
assert not unused.grad.any()
here.wait()
leave_processes()
assert not torch.distributed.is_initialized()
"""


def test_two_processes_add_up(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run([*command, str(script)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_a_single_process_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    alone = join_processes("toaster")  # which devices there are is another's question
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
    with pytest.raises(ConfigError, match=f"device '{device}' cannot be used by several processes"):
        join_processes(device)

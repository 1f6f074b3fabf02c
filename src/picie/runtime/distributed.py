"""Several processes that train one model, started by `accelerate launch` or `torchrun`.

Each process reads its own share of every batch. What crosses between them are sums: statistics of
k-means and of BatchNorm, gradients, and the few points that k-means starts from.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from picie.errors import ConfigError

__all__ = ["Processes", "join_processes", "leave_processes"]

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Processes:
    """The processes of a training, seen from one of them. `Processes()` is a single one.

    Attributes:
        count: how many there are.
        rank: the number of this one, from 0.
        device: the device of this process as the launcher assigned it; "" for a single one.
    """

    count: int = 1
    rank: int = 0
    device: str = ""

    @property
    def main(self) -> bool:
        """Whether this is the one that writes files and speaks."""
        return self.rank == 0

    def share(self, items: list[_Item]) -> list[_Item]:
        """Every count-th item, starting at the rank: together the processes have each item once."""
        return items[self.rank :: self.count]

    def sum(self, values: Tensor) -> Tensor:
        """Add a tensor up over all processes; all of them must call this, in the same order.

        Gradients do not pass; see `differentiable_sum`.
        """
        if self.count == 1:
            return values
        total = values.detach().to(self.device, copy=True).contiguous()
        torch.distributed.all_reduce(total)
        return total.to(values.device)

    def differentiable_sum(self, values: Tensor) -> Tensor:
        """As `sum`; the gradient of each part is the sum of all processes' gradients."""
        if self.count == 1:
            return values
        total: Tensor = _Sum.apply(values, self)
        return total

    def sum_gradients(self, parameters: list[Tensor]) -> None:
        """Add the gradients up over all processes, as one message."""
        if self.count == 1:
            return
        flat = torch.cat(
            [
                (p.grad if p.grad is not None else torch.zeros_like(p)).flatten().float()
                for p in parameters
            ]
        )
        parts = torch.split(self.sum(flat), [p.numel() for p in parameters])
        for parameter, part in zip(parameters, parts, strict=True):
            # in the memory layout of the parameter: fused optimisers walk both in step
            parameter.grad = torch.empty_like(parameter).copy_(part.view(parameter.shape))

    def gather(self, value: Any) -> list[Any]:
        """One plain value from each process, in the order of their ranks, in all of them."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.count > 1:
            torch.distributed.barrier()


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, processes: Processes) -> Tensor:
        ctx.processes = processes
        return processes.sum(values)

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None]:
        return ctx.processes.sum(outputs[0]), None


def leave_processes() -> None:
    """Part from the other processes before the program ends; torch complains otherwise."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def join_processes(device: str) -> Processes:
    """Find the other processes, if a launcher started several.

    Args:
        device: auto or cpu or cuda, as configured.

    Raises:
        ConfigError: several processes on a device that cannot talk to others.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes()
    if device.split(":")[0] not in ("auto", "cpu", "cuda") or ":" in device:
        raise ConfigError(
            f"device {device!r} cannot be used by several processes; use auto, cpu or cuda (the "
            "launcher numbers the GPUs)"
        )
    from accelerate import PartialState

    cpu = device == "cpu" or not torch.cuda.is_available()
    state = PartialState(cpu=cpu, **({"backend": "gloo"} if cpu else {}))
    name = "cpu" if cpu else str(state.device)
    return Processes(state.num_processes, state.process_index, name)

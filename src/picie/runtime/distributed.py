"""Training with several processes, started by `accelerate launch` or `torchrun`.

Each process reads its own share of every batch. The processes exchange sums only: statistics of
k-means and BatchNorm, gradients, and the initial points of k-means.
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
    """The processes of a training run. `Processes()` is a single one.

    Attributes:
        count: number of processes.
        rank: number of this process, from 0.
        device: device that the launcher assigned to this process; "" for a single one.
    """

    count: int = 1
    rank: int = 0
    device: str = ""

    @property
    def main(self) -> bool:
        """Whether this process writes files and shows messages."""
        return self.rank == 0

    def share(self, items: list[_Item]) -> list[_Item]:
        """Every count-th item, starting at the rank; the shares of all processes are disjoint."""
        return items[self.rank :: self.count]

    def sum(self, values: Tensor) -> Tensor:
        """Sum a tensor over all processes; all of them must make the same calls in the same order.

        Gradients do not pass through; see `differentiable_sum`.
        """
        if self.count == 1:
            return values
        total = values.detach().to(self.device, copy=True).contiguous()
        torch.distributed.all_reduce(total)
        return total.to(values.device)

    def differentiable_sum(self, values: Tensor) -> Tensor:
        """Like `sum`, with gradients: each process gets the sum of all processes' gradients."""
        if self.count == 1:
            return values
        total: Tensor = _Sum.apply(values, self)
        return total

    def sum_gradients(self, parameters: list[Tensor]) -> None:
        """Sum the gradients over all processes, in a single all-reduce."""
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
            # fused optimisers need the memory layout of the parameter
            parameter.grad = torch.empty_like(parameter).copy_(part.view(parameter.shape))

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, in the order of their ranks; available in all of them."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Wait until all processes have reached this call."""
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
    """Destroy the process group before the program ends; torch warns otherwise."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def join_processes(device: str) -> Processes:
    """Join the process group, if a launcher started several processes.

    Args:
        device: configured device: auto, cpu or cuda.

    Raises:
        ConfigError: several processes on a device that does not support them.
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

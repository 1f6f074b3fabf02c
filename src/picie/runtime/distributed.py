"""Training with several processes, started by `accelerate launch` or `torchrun`.

Each process reads its own share of every batch. The processes exchange sums only: statistics of
k-means and BatchNorm, gradients, and the initial points of k-means.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from picie.errors import ConfigError, PicieError
from picie.runtime.heartbeat import ARRIVAL, Heartbeat, Member
from picie.runtime.launch import launched
from picie.version import __version__

__all__ = ["Processes", "join_processes", "leave_processes"]

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Processes:
    """The processes of a training run. `Processes()` is a single one.

    Attributes:
        count: number of processes.
        rank: number of this process, from 0.
        device: device that the launcher assigned to this process; "" for a single one.
        heartbeat: shows that this process lives, and notices if another does not; None for a single
            one.
        members: who they are, by rank; empty for a single one.
    """

    count: int = 1
    rank: int = 0
    device: str = ""
    heartbeat: Heartbeat | None = field(default=None, compare=False, repr=False)
    members: tuple[Member, ...] = ()

    @property
    def main(self) -> bool:
        """Whether this process writes files and shows messages."""
        return self.rank == 0

    def __deepcopy__(self, memo: object) -> Processes:
        """Itself: the copy of a network talks to the same processes."""
        return self

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
        with self._together():
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
        with self._together():
            torch.distributed.all_gather_object(values, value)
        return values

    def first(self, value: _Item) -> _Item:
        """The value of the main process, in all of them; the values of the others do not count."""
        if self.count == 1:
            return value
        values = [value if self.main else None]
        with self._together():
            torch.distributed.broadcast_object_list(values)
        found: Any = values[0]
        return found  # type: ignore[no-any-return]

    def wait(self) -> None:
        """Wait until all processes have reached this call, however long one of them works."""
        if self.heartbeat is not None:
            self.heartbeat.wait()

    def advise(self, advice: str) -> None:
        """Say what to do if a process is lost from now on."""
        if self.heartbeat is not None:
            self.heartbeat.advice = advice

    @contextmanager
    def _together(self) -> Iterator[None]:
        """A collective operation; if it fails, say which process is missing.

        Raises:
            PicieError: a process has ended.
        """
        if self.heartbeat is not None:
            self.heartbeat.check()
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            if self.heartbeat is None:
                raise
            raise self.heartbeat.explain(error) from error


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


@contextmanager
def join_processes(device: str) -> Iterator[Processes]:
    """Within the block, this process is one of several, if a launcher started several.

    Their group stays when the block ends, for the next one; see `leave_processes`.

    Args:
        device: configured device: auto, cpu or cuda.

    Raises:
        ConfigError: several processes on a device that does not support them, or different ones.
        PicieError: a process did not come, or has ended.
    """
    count, rank = launched()
    if count == 1:
        yield Processes()
        return
    if device.split(":")[0] not in ("auto", "cpu", "cuda") or ":" in device:
        raise ConfigError(
            f"device {device!r} cannot be used by several processes; use auto, cpu or cuda (the "
            "launcher numbers the GPUs)"
        )
    cpu = device == "cpu" or not torch.cuda.is_available()
    me = Member.here(rank, "gloo" if cpu else "nccl", __version__)
    served = _serve(rank, count)  # kept until the end: in some launches it is the only server
    heartbeat = Heartbeat(_store(), me, count)
    with heartbeat.beating():
        members = heartbeat.meet()
        _check_members(members)
        state = _join_group(cpu=cpu)
        name = "cpu" if cpu else str(state.device)
        yield Processes(count, rank, name, heartbeat, tuple(members))
    del served


_SERVER_PATIENCE = timedelta(seconds=60)
_COLLECTIVE = timedelta(minutes=30)  # for a process that reads much slower than another
_joined = 0  # how often; all processes join in the same order


def _serve(rank: int, count: int) -> Any:
    """Serve the store in the first process, unless the launcher does or a group exists."""
    if torch.distributed.is_initialized():
        return None
    arrival = timedelta(seconds=ARRIVAL)
    try:
        return next(iter(rendezvous("env://", rank, count, timeout=arrival)))[0]
    except (RuntimeError, ValueError) as error:
        raise PicieError(
            f"the {count} processes cannot meet at {_place()} ({str(error).splitlines()[0]}); see "
            "that every machine reaches this address, and start all of them again"
        ) from None


def _store() -> Any:
    """A connection of its own to the store, for keys of this block only."""
    global _joined
    _joined += 1
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    stores: Any = torch.distributed  # whose types do not say that it has them
    store = stores.TCPStore(host, port, is_master=False, timeout=_SERVER_PATIENCE)
    return stores.PrefixStore(f"picie/{_joined}", store)


def _place() -> str:
    return f"{os.environ.get('MASTER_ADDR', '?')}:{os.environ.get('MASTER_PORT', '?')}"


def _check_members(members: list[Member]) -> None:
    """Raise if processes would not understand each other."""
    first = members[0]
    for other in members[1:]:
        if other.backend != first.backend:
            raise ConfigError(
                f"{first} uses {first.backend} and {other} uses {other.backend}; let all use the "
                "same kind of device: --device cpu, or GPUs on each machine"
            )
        if other.version != first.version:
            raise PicieError(
                f"{first} has picie {first.version} and {other} has picie {other.version}; install "
                "the same version on each machine"
            )


def _join_group(*, cpu: bool) -> Any:
    from accelerate import PartialState

    backend = {"backend": "gloo"} if cpu else {}
    return PartialState(cpu=cpu, **backend, timeout=_COLLECTIVE)

"""Time of a training run by named parts."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

__all__ = ["NETWORK", "Clock"]

_Item = TypeVar("_Item")

NETWORK = ("label forward", "forward", "backward", "clustering forward")
"""Parts in which the network computes."""


class Clock:
    """Accumulates the seconds of named parts; does nothing if it is off.

    Args:
        on: measure. On a GPU each part then synchronises with the device at its end, so that work
            is attributed to the part that launched it; this makes the run slightly slower.
        device: device of the work.
    """

    def __init__(self, *, on: bool = False, device: torch.device | None = None) -> None:
        self.on = on
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure the time of a block. Blocks must not be nested."""
        if not self.on:
            yield
            return
        began = time.perf_counter()
        try:
            yield
            self._finish_work()
        finally:
            spent = time.perf_counter() - began
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def waits(self, items: Iterable[_Item], name: str = "waiting for images") -> Iterator[_Item]:
        """Yield the items, and measure the time spent waiting for them."""
        source = iter(items)
        while True:
            with self.part(name):
                item = next(source, None)
            if item is None:
                return
            yield item

    def network_share(self, total: float) -> float:
        """Share of `total` seconds in which the network computes, 0..1."""
        return sum(self.seconds.get(name, 0.0) for name in NETWORK) / max(total, 1e-9)

    def table(self, total: float) -> str:
        """A table of the parts of `total` seconds, longest first."""
        rows = sorted(self.seconds.items(), key=lambda row: -row[1])
        rest = max(total - sum(self.seconds.values()), 0.0)
        lines = [
            f"  {name:<24}{seconds:9.2f} s {100 * seconds / max(total, 1e-9):6.1f} %"
            + (" network" if name in NETWORK else "")
            for name, seconds in [*rows, ("everything else", rest)]
        ]
        share = f"  network: {100 * self.network_share(total):.1f} % of {total:.1f} s"
        return "\n".join([*lines, share])

    def _finish_work(self) -> None:
        if self.device is not None and self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

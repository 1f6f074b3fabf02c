"""Work shared out among threads, each of which computes alone.

torch splits every operation over its threads and waits for all of them at its end. Views and
k-means are made of many small operations, so on a CPU that is a wait every few microseconds, and a
long one where other programs want the cores too. One picture, or one share of the points, per
thread needs a single wait for all of them.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch

__all__ = ["for_each"]

_CPU = torch.device("cpu")


def for_each(work: Callable[[int], None], count: int, device: torch.device = _CPU) -> None:
    """Call `work` with 0..count-1, from as many threads as torch uses, in no certain order.

    Operations inside `work` run on one thread each. Settings that belong to a thread, such as
    no_grad and autocast, must be made inside `work`. What it raises is raised here.

    Args:
        work: does one piece, and touches what is only its own.
        count: number of pieces.
        device: where it computes; other devices than the CPU get one piece after the other.
    """
    threads = min(torch.get_num_threads(), count) if device.type == "cpu" else 1
    if threads < 2:
        for index in range(count):
            work(index)
        return
    for _ in _pool(threads).map(work, range(count)):
        pass


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads on which torch computes alone; the setting of all others stays as it is."""
    before = torch.get_num_threads()
    settled = threading.Barrier(threads + 1)

    def settle() -> None:
        torch.get_num_threads()  # a thread's setting is made at its first use, and would be lost
        torch.set_num_threads(1)  # of this thread, but also of those that start from now on
        settled.wait()

    pool = ThreadPoolExecutor(threads, thread_name_prefix="picie-compute")
    for _ in range(threads):
        pool.submit(settle)
    settled.wait()
    torch.set_num_threads(before)
    return pool

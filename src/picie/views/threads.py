"""Pictures shared out among threads, each of which computes alone.

torch splits every operation over its threads and waits for all of them at its end. Views are made
of many small operations, so on a CPU that is a wait every few microseconds, and a long one where
other programs want the cores too. One picture per thread needs a single wait for a whole batch.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch

__all__ = ["for_each"]


def for_each(work: Callable[[int], None], count: int) -> None:
    """Call `work` with 0..count-1, from as many threads as torch uses, in no certain order.

    Operations inside `work` run on one thread each. What it raises is raised here.
    """
    threads = min(torch.get_num_threads(), count)
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

    pool = ThreadPoolExecutor(threads, thread_name_prefix="picie-views")
    for _ in range(threads):
        pool.submit(settle)
    settled.wait()
    torch.set_num_threads(before)
    return pool

"""Where tensors live, and how the processor is kept busy with them."""

import ctypes
import sys
import textwrap
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch

from picie.errors import ConfigError

__all__ = ["adam", "autocast", "choose_device", "for_each", "keep_freed_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc, malloc.h
_LARGE = 2**30

_KINDS = ("cpu", "cuda", "mps", "xpu")


def choose_device(name: str) -> torch.device:
    """The device of a name; `auto` takes CUDA, else MPS, else the CPU.

    Raises:
        ConfigError: unknown or absent device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in _KINDS:
            raise RuntimeError(f"known: auto, {', '.join(_KINDS)}")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = textwrap.shorten(str(error).splitlines()[0], 120, placeholder=" ...")
        raise ConfigError(f"device {name!r} cannot be used ({reason}); use auto or cpu") from None
    return device


def adam(groups: Iterable[Any], rate: float, device: torch.device) -> torch.optim.Adam:
    """Adam, in one pass over all parameters where the device has that.

    Args:
        groups: parameters, or groups of them as torch takes them.
        rate: learning rate of groups that name none.
        device: where the parameters are.
    """
    return torch.optim.Adam(groups, rate, fused=device.type in ("cpu", "cuda"))


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Within the block the network computes in the given precision.

    Clustering, labels and losses stay in float32; they see to that themselves.

    Args:
        device: where it computes.
        precision: fp32, bf16, fp16 (which training must not use: its gradients vanish), or auto:
            bf16 on CUDA devices made for it, else fp32.
    """
    half = precision in ("bf16", "fp16")
    if precision == "auto":
        half = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype=dtype, enabled=half)


def keep_freed_memory() -> None:
    """Let this process reuse large blocks that it freed, instead of giving them back each time.

    A training step on the CPU allocates the same hundreds of megabytes again and again; fetching
    fresh pages from the system for them took 10 to 25 % of the step. Does nothing where the C
    library is not glibc.
    """
    if sys.platform != "linux":
        return
    try:
        library = ctypes.CDLL("libc.so.6")
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_M_TRIM_THRESHOLD, _LARGE)
    except (OSError, AttributeError):
        return


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

"""Devices, precision, and parallel work on the CPU."""

import ctypes
import sys
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor

from picie.errors import ConfigError

__all__ = [
    "adam",
    "autocast",
    "choose_device",
    "for_each",
    "keep_freed_memory",
    "network_precision",
    "one_thread",
    "to_device",
]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc, malloc.h
_LARGE = 2**30

_INSTRUCTIONS = {  # by the names of torch.cpu.get_capabilities, best first
    "bf16": {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16", "bf16": "BF16 of Arm"},
    "fp16": {"amx_fp16": "AMX-FP16", "avx512_fp16": "AVX512-FP16"},
}

_KINDS = ("cpu", "cuda", "mps", "xpu")


def choose_device(name: str) -> torch.device:
    """The device of a name; `auto` is CUDA if available, else MPS, else the CPU.

    Raises:
        ConfigError: unknown or unavailable device.
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


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on a device, sent without waiting for the device.

    From memory that is not pinned, the copy would wait until a GPU has done all its earlier work.

    Args:
        tensor: on the CPU, of any shape; the copy may take place later, so it must not change.
        device: any device; the CPU returns the tensor itself.
    """
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def adam(groups: Iterable[Any], rate: float, device: torch.device) -> torch.optim.Adam:
    """Adam, with torch's fused implementation where the device supports it.

    Args:
        groups: parameters, or parameter groups as for torch.
        rate: learning rate of groups without their own.
        device: device of the parameters.
    """
    return torch.optim.Adam(groups, rate, fused=device.type in ("cpu", "cuda"))


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Context in which the network computes in the precision that `network_precision` gives.

    Clustering, pseudo-labels and losses disable it and stay in float32.

    Args:
        device: device of the network.
        precision: as there.
    """
    used, _ = network_precision(device, precision)
    dtype = torch.float16 if used == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype=dtype, enabled=used != "fp32")


def network_precision(device: torch.device, precision: str) -> tuple[str, str]:
    """The precision that the network computes in, and a line for the log.

    A processor computes in bf16 or fp16 only if it has instructions for that, else in fp32: without
    them, half precision takes 2 to 20 times as long as fp32.

    Args:
        device: device of the network.
        precision: fp32, bf16, fp16 (not for training: gradients underflow), or auto: bf16 on CUDA
            devices with native support, else fp32, so that all processors give the same results.

    Returns:
        fp32, bf16 or fp16, and what was found on a processor that was asked for half precision;
        "" otherwise.
    """
    if precision == "auto":
        native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return ("bf16" if native else "fp32"), ""
    if precision == "fp32" or device.type != "cpu":
        return precision, ""
    known = _INSTRUCTIONS[precision]
    if found := [known[name] for name in known if _processor().get(name)]:
        return precision, f"the network computes in {precision}: this processor has {found[0]}"
    lacking = " or ".join(known.values())
    return "fp32", (
        f"the network computes in fp32, not in {precision}: this processor lacks instructions for "
        f"it ({lacking}), and would take 2 to 20 times as long"
    )


def _processor() -> Mapping[str, Any]:
    """What torch's convolutions can use of the processor; empty if that is unknown."""
    if not torch.backends.mkldnn.is_available():
        return {}
    ask = getattr(torch.cpu, "get_capabilities", dict)  # not every version of torch can tell
    capabilities: Mapping[str, Any] = ask()
    return capabilities


def keep_freed_memory() -> None:
    """Make malloc keep large freed blocks for reuse, instead of returning them to the system.

    Every training step on the CPU allocates the same hundreds of megabytes; getting fresh pages for
    them from the system took 10 to 25 % of the step. Has no effect unless the C library is glibc.
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
    """Call `work` with 0..count-1, in as many threads as torch uses, in unspecified order.

    Each operation inside `work` is single-threaded. Per-thread settings, such as no_grad and
    autocast, must be made inside `work`. Exceptions of `work` propagate.

    Args:
        work: processes one item; must not write to data shared with other items.
        count: number of items.
        device: device of the computation; on other devices than the CPU, items run sequentially.
    """
    threads = min(torch.get_num_threads(), count) if device.type == "cpu" else 1
    if threads < 2:
        for index in range(count):
            work(index)
        return
    for _ in _pool(threads).map(work, range(count)):
        pass


@contextmanager
def one_thread() -> Iterator[None]:
    """Within the block, torch computes in the calling thread alone.

    For thousands of small products: several threads wait for each other after each of them, and on
    a busy machine that takes many times as long.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads in which torch is single-threaded; the setting of all other threads is kept."""
    before = torch.get_num_threads()
    settled = threading.Barrier(threads + 1)

    def settle() -> None:
        torch.get_num_threads()  # initialises this thread's setting, which would reset it later
        torch.set_num_threads(1)  # for this thread, but also for threads that start later
        settled.wait()

    pool = ThreadPoolExecutor(threads, thread_name_prefix="picie-compute")
    for _ in range(threads):
        pool.submit(settle)
    settled.wait()
    torch.set_num_threads(before)
    return pool

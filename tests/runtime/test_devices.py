import ctypes
import re
import sys
import threading
from collections.abc import Callable

import pytest
import torch

from picie.errors import ConfigError
from picie.runtime import devices
from picie.runtime.devices import (
    adam,
    autocast,
    choose_device,
    for_each,
    keep_freed_memory,
    network_precision,
    one_thread,
    to_device,
)


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [
        (True, True, "cuda"),
        (True, False, "cuda"),
        (False, True, "mps"),
        (False, False, "cpu"),
    ],
)
def test_auto_takes_the_fastest_present(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device("auto") == torch.device(expected)


def test_a_named_device_is_taken() -> None:
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "CPU", "", "cuda:x"])
def test_an_unknown_device_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^device '{name}' cannot be used \(.*use auto or cpu$"):
        choose_device(name)


@pytest.mark.parametrize("error", [RuntimeError, AssertionError])
def test_an_absent_device_is_an_error_of_one_line(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def empty(*_: object, **__: object) -> None:
        raise error("no driver found\nwith a long story")

    monkeypatch.setattr(torch, "empty", empty)
    with pytest.raises(ConfigError) as caught:
        choose_device("cuda")
    assert str(caught.value) == "device 'cuda' cannot be used (no driver found); use auto or cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_where_there_is_none_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"^device 'cuda' cannot be used"):
        choose_device("cuda")


class Library:
    """A C library that notes what it is asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def mallopt(self, option: int, value: int) -> int:
        self.calls.append((option, value))
        return 1


def test_both_thresholds_of_the_allocator_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    keep_freed_memory()
    assert sorted(option for option, _ in library.calls) == [-3, -1]  # M_MMAP, M_TRIM
    assert all(2**28 <= value < 2**31 for _, value in library.calls)  # large, and a C int


def test_other_systems_keep_their_allocator(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(ctypes, "CDLL", opened.append)
    keep_freed_memory()
    assert opened == []


@pytest.mark.parametrize("absent", [True, False])
def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch, absent: bool) -> None:
    opened: list[str] = []

    def library(name: str) -> object:
        opened.append(name)
        if absent:
            raise OSError("no libc.so.6")
        return object()  # without mallopt

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", library)
    keep_freed_memory()
    assert opened == ["libc.so.6"]


CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("precision", "found", "used", "said"),
    [
        ("auto", {"amx_bf16": True, "avx512_bf16": True}, "fp32", ""),
        ("fp32", {"amx_bf16": True}, "fp32", ""),
        ("bf16", {"amx_bf16": True, "avx512_bf16": True}, "bf16", "this processor has AMX"),
        ("bf16", {"avx512_bf16": True}, "bf16", "this processor has AVX512-BF16"),
        (
            "bf16",
            {"avx512_f": True, "avx512_bf16": False},
            "fp32",
            r"lacks .* \(AMX or AVX512-BF16",
        ),
        ("bf16", {}, "fp32", "fp32, not in bf16"),
        ("fp16", {"amx_bf16": True}, "fp32", "fp32, not in fp16"),
        ("fp16", {"avx512_fp16": True}, "fp16", "AVX512-FP16"),
    ],
)
def test_a_processor_computes_in_what_it_has_instructions_for(
    monkeypatch: pytest.MonkeyPatch, precision: str, found: dict[str, bool], used: str, said: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    kind, note = network_precision(CPU, precision)
    assert kind == used
    assert re.search(said, note)
    assert bool(note) == bool(said)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[used]
    with autocast(CPU, precision):
        assert (torch.rand(3, 4) @ torch.rand(4, 5)).dtype == dtype


def test_without_its_library_torch_uses_no_such_instructions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"bf16": True})
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert network_precision(CPU, "bf16")[0] == "fp32"


def test_torch_knows_the_instructions_of_this_processor() -> None:
    names = {name for one in devices._INSTRUCTIONS.values() for name in one}
    if torch.cpu.get_capabilities()["architecture"] == "x86_64":
        assert names - {"bf16"} <= set(torch.cpu.get_capabilities())


@pytest.mark.parametrize(("native", "used"), [(True, "bf16"), (False, "fp32")])
def test_auto_on_a_gpu_depends_on_the_gpu(
    monkeypatch: pytest.MonkeyPatch, native: bool, used: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    assert network_precision(CUDA, "auto") == (used, "")
    assert network_precision(CUDA, "bf16") == ("bf16", "")
    assert network_precision(CUDA, "fp16") == ("fp16", "")


def test_a_tensor_for_the_cpu_is_not_copied() -> None:
    tensor = torch.rand(3)
    assert to_device(tensor, CPU) is tensor


def test_adam_takes_groups_and_their_own_rates() -> None:
    one, other = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    found = adam([{"params": [one]}, {"params": [other], "lr": 0.5}], 0.1, torch.device("cpu"))
    assert [group["lr"] for group in found.param_groups] == [0.1, 0.5]
    (one.sum() + other.sum()).backward()
    found.step()
    torch.testing.assert_close(one.detach(), torch.full((2,), 0.9))
    torch.testing.assert_close(other.detach(), torch.full((2,), 0.5))


# --- threads


@pytest.fixture
def two_threads(use_threads: Callable[[int], None]) -> None:
    use_threads(2)


@pytest.mark.usefixtures("two_threads")
def test_every_index_is_worked_on_once_and_alone() -> None:
    done: list[tuple[int, str, int]] = []
    for_each(
        lambda i: done.append((i, threading.current_thread().name, torch.get_num_threads())), 9
    )
    assert sorted(i for i, _, _ in done) == list(range(9))
    assert all(name.startswith("picie-compute") and threads == 1 for _, name, threads in done)
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_threads_that_start_later_compute_as_ever() -> None:
    for_each(lambda _: None, 4)
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert found == [2]


@pytest.mark.usefixtures("two_threads")
def test_an_error_comes_to_the_caller() -> None:
    def work(index: int) -> None:
        if index == 3:
            raise KeyError("third")

    with pytest.raises(KeyError, match="third"):
        for_each(work, 5)
    for_each(lambda _: None, 5)  # and the threads go on


def test_one_thread_needs_no_other() -> None:
    names: list[str] = []
    for_each(lambda _: names.append(threading.current_thread().name), 3)  # see conftest
    assert names == [threading.current_thread().name] * 3
    for_each(lambda _: names.clear(), 0)
    assert len(names) == 3


def test_one_thread_is_a_setting_of_the_block_only(two_threads: None) -> None:
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2

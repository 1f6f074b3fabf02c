"""timm, imported without torch's compiler, which takes longer to import than timm itself."""

import contextlib
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

import torch

__all__ = ["import_timm"]

_COMPILER = "torch._dynamo"
_UTILS = f"{_COMPILER}.utils"
_TURN = threading.RLock()


def import_timm() -> Any:
    """The module timm; imports it if that was not done yet.

    timm and torchvision need the compiler at their import only to mark functions that it shall not
    compile, and for one question that torchvision asks it later. They get stand-ins for both. If
    another version needs more, the import is repeated with the compiler.
    """
    with _TURN:
        if "timm" not in sys.modules:
            _import()
        return sys.modules["timm"]


def _import() -> None:
    with warnings.catch_warnings():
        # In notebooks without widgets, what timm imports would speak of bars that nobody sees.
        warnings.filterwarnings("ignore", "IProgress not found")
        if _COMPILER not in sys.modules:
            with contextlib.suppress(ImportError, AttributeError), _without_compiler():
                import_module("timm")
        import_module("timm")


@contextmanager
def _without_compiler() -> Iterator[None]:
    stand_in, disable = ModuleType(_UTILS), torch.compiler.disable
    stand_in.__dict__["is_compile_supported"] = _is_compile_supported
    sys.modules[_UTILS] = stand_in
    torch.compiler.disable = _marked
    try:
        yield
    finally:
        torch.compiler.disable = disable
        sys.modules.pop(_UTILS, None)


def _marked(fn: Any = None, recursive: bool = True, *, reason: str | None = None) -> Any:
    """Mark a function as `torch.compiler.disable` does, without a wrapper."""

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        function.__dict__["_torchdynamo_disable"] = True
        return function

    return mark if fn is None else mark(fn)


def _is_compile_supported(device_type: Any) -> Any:
    from torch._dynamo.utils import is_compile_supported

    return is_compile_supported(device_type)

"""The state of an unfinished training run, in one file that is written atomically."""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from picie.errors import ModelError
from picie.models.centroids import LEARNT
from picie.models.picie import PiCIE
from picie.models.storage import hash_tensors
from picie.runtime.files import open_regular, write_atomically
from picie.runtime.printable import printable, shown

__all__ = ["load_checkpoint", "save_checkpoint"]

_MODEL, _OPTIMIZER, _HEADS = "model/", "optimizer/", "heads/"
_MOMENTS = ("exp_avg", "exp_avg_sq")  # of Adam, shaped like the parameter; `step` is a scalar
_LEARNT = {_MODEL + name for name in LEARNT}


def save_checkpoint(
    path: Path,
    model: PiCIE,
    optimizer: torch.optim.Optimizer,
    heads: nn.Module | None = None,
    *,
    next_epoch: int,
) -> None:
    """Write the state that the next epoch starts from.

    Random generators have no state to save: every draw depends on (seed, epoch, image) only.
    """
    tensors = {_MODEL + name: tensor for name, tensor in model.state_dict().items()}
    if heads is not None:
        tensors |= {_HEADS + name: tensor for name, tensor in heads.state_dict().items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"{_OPTIMIZER}{index}/{name}": tensor for name, tensor in state.items()}
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    state = {"next_epoch": next_epoch, "sha256": _digest(stored)}
    write_atomically(path, save(stored, {"state": json.dumps(state)}))


def load_checkpoint(
    path: Path,
    model: PiCIE,
    optimizer: torch.optim.Optimizer,
    heads: nn.Module | None = None,
    *,
    epochs: int = sys.maxsize,
) -> int:
    """Restore a saved state, after all of it has been checked.

    Args:
        path: the file.
        model: gets the saved weights.
        optimizer: Adam over parameters of `model` and `heads`.
        heads: further parameters, if the run has any.
        epochs: of the run; the state cannot be of a later one.

    Returns:
        The epoch to resume with; 0 if there is no checkpoint.

    Raises:
        ModelError: the file is damaged or belongs to another network; the message names the key.
    """
    if not os.path.lexists(path):
        return 0
    try:
        open_regular(path).close()
        with safe_open(path, framework="pt") as file:
            state = json.loads((file.metadata() or {}).get("state", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        epoch = _next_epoch(state, epochs)
        _check(tensors, model, optimizer, heads)
        if state.get("sha256", "") not in ("", _digest(tensors)):
            raise ValueError("its tensors do not match their digest")
        _restore(model, optimizer, tensors)
        if heads is not None:
            heads.load_state_dict(_under(_HEADS, tensors))
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).splitlines()[0]
        raise ModelError(
            f"{path}: the checkpoint cannot be used ({printable(reason)}); restore a copy of it, "
            "or start again with --overwrite"
        ) from None
    return epoch


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    hash_tensors(digest, tensors)
    return digest.hexdigest()


def _next_epoch(state: Any, epochs: int) -> int:
    epoch = state.get("next_epoch") if isinstance(state, dict) else None
    if not isinstance(epoch, int) or isinstance(epoch, bool) or not 1 <= epoch <= epochs:
        most = f" to {epochs}, the epochs of the run" if epochs < sys.maxsize else ""
        raise ValueError(f"next_epoch = {shown(epoch)} is not a whole number from 1{most}")
    return epoch


def _check(
    tensors: dict[str, Tensor],
    model: PiCIE,
    optimizer: torch.optim.Optimizer,
    heads: nn.Module | None,
) -> None:
    """Raise ValueError for tensors that are missing, unknown, of another form or not finite."""
    wanted = {_MODEL + name: tensor for name, tensor in model.state_dict().items()}
    if heads is not None:
        wanted |= {_HEADS + name: tensor for name, tensor in heads.state_dict().items()}
    for index, parameter in enumerate(_learnt(optimizer)):
        state = {f"{_OPTIMIZER}{index}/{name}": parameter for name in _MOMENTS}
        state[f"{_OPTIMIZER}{index}/step"] = torch.zeros(())
        if state.keys() & tensors.keys():  # a parameter without a gradient has no state
            wanted |= state
    optional = {_MODEL + name for name in ("offsets", "trees")}  # not in picie 0.1
    for name in sorted(wanted.keys() - tensors.keys() - optional):
        raise ValueError(f"{name} is missing")
    for name, tensor in sorted(tensors.items()):
        if name not in wanted:
            raise ValueError(f"{name} is unknown")
        _check_one(name, tensor, wanted[name])


def _check_one(name: str, tensor: Tensor, wanted: Tensor) -> None:
    shape, expected = list(tensor.shape), list(wanted.shape)
    if name in _LEARNT:  # the numbers of views and centroids are learnt
        fits = len(shape) == len(expected) and shape[2:] == expected[2:]
    else:
        fits = shape == expected
    if not fits or tensor.dtype != wanted.dtype:
        raise ValueError(f"{name} is {shape} {tensor.dtype} instead of {expected} {wanted.dtype}")
    if not tensor.isfinite().all():
        raise ValueError(f"{name} has values that are not finite")
    if name.endswith(("/exp_avg_sq", "/step", "model/groups")) and (tensor < 0).any():
        raise ValueError(f"{name} has negative values")


def _learnt(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}


def _restore(model: PiCIE, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    model.restore(_under(_MODEL, tensors))
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(_OPTIMIZER):
            index, name = key.removeprefix(_OPTIMIZER).split("/")
            state.setdefault(int(index), {})[name] = tensor
    learnt = _learnt(optimizer)
    for number, values in state.items():
        for name, tensor in values.items():
            if tensor.shape == learnt[number].shape:
                # fused optimisers need the memory layout of the parameter
                values[name] = torch.empty_like(learnt[number], dtype=tensor.dtype).copy_(tensor)
    saved: dict[str, Any] = optimizer.state_dict()
    optimizer.load_state_dict({"state": state, "param_groups": saved["param_groups"]})

"""The state of an unfinished training run, in one file that is written atomically."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from picie.errors import ModelError
from picie.models.picie import PiCIE
from picie.runtime.files import write_atomically

__all__ = ["load_checkpoint", "save_checkpoint"]

_MODEL, _OPTIMIZER, _HEADS = "model/", "optimizer/", "heads/"


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
    write_atomically(path, save(stored, {"state": json.dumps({"next_epoch": next_epoch})}))


def load_checkpoint(
    path: Path, model: PiCIE, optimizer: torch.optim.Optimizer, heads: nn.Module | None = None
) -> int:
    """Restore a saved state.

    Returns:
        The epoch to resume with; 0 if there is no checkpoint.

    Raises:
        ModelError: the file is broken or belongs to another network.
    """
    if not path.exists():
        return 0
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            epoch = int(json.loads(file.metadata()["state"])["next_epoch"])
        _restore(model, optimizer, tensors)
        if heads is not None:
            heads.load_state_dict(_under(_HEADS, tensors))
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"{path}: the checkpoint cannot be used ({reason}); start again with --overwrite"
        ) from None
    return epoch


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}


def _restore(model: PiCIE, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    model.restore(_under(_MODEL, tensors))
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith(_OPTIMIZER):
            index, name = key.removeprefix(_OPTIMIZER).split("/")
            state.setdefault(int(index), {})[name] = tensor
    learnt = [p for group in optimizer.param_groups for p in group["params"]]
    for number, values in state.items():
        for name, tensor in values.items():
            if tensor.shape == learnt[number].shape:
                # fused optimisers need the memory layout of the parameter
                values[name] = torch.empty_like(learnt[number], dtype=tensor.dtype).copy_(tensor)
    saved: dict[str, Any] = optimizer.state_dict()
    optimizer.load_state_dict({"state": state, "param_groups": saved["param_groups"]})

"""The training state: what comes back after a kill, and what is refused."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from picie.errors import ModelError
from picie.models.picie import PiCIE
from picie.training.checkpoint import load_checkpoint, save_checkpoint

State = tuple[PiCIE, torch.optim.Optimizer]


def new_state(seed: int, feature_size: int = 8) -> State:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = PiCIE("test_efficientnet", feature_size, pretrained=False)
    model.to(memory_format=torch.channels_last)
    return model, torch.optim.Adam(model.parameters(), lr=0.01)


def steps(state: State, count: int) -> None:
    model, optimizer = state
    for number in range(count):
        images = torch.full((2, 3, 64, 64), (1 + number) / 8)
        optimizer.zero_grad()
        model(images).square().mean().backward()
        optimizer.step()


def tensors(state: State) -> Iterator[tuple[str, torch.Tensor]]:
    yield from state[0].state_dict().items()
    for index, values in state[1].state_dict()["state"].items():
        for name, value in values.items():
            yield f"{index} {name}", value


def test_training_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    path, first, second = tmp_path / "state.safetensors", new_state(0), new_state(1)
    steps(first, 2)
    first[0].set_centroids([torch.rand(5, 8)] * 2, [torch.tensor([0, 1, 2, 1, 0])] * 2)
    save_checkpoint(path, *first, next_epoch=7)
    assert load_checkpoint(path, *second) == 7
    steps(first, 2)
    steps(second, 2)
    before, after = dict(tensors(first)), dict(tensors(second))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert second[0].clusters == 3


def test_no_checkpoint_means_nothing_finished(tmp_path: Path) -> None:
    state = new_state(0)
    before = {name: tensor.clone() for name, tensor in tensors(state)}
    assert load_checkpoint(tmp_path / "gone", *state) == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in tensors(state))


def test_a_failed_write_keeps_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, state = tmp_path / "state.safetensors", new_state(0)
    save_checkpoint(path, *state, next_epoch=1)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, *state, next_epoch=2)
    assert load_checkpoint(path, *state) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("content", [b"", b"half a file", b"\x80\x04K\x01."])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"safetensors: the checkpoint cannot .* --overwrite"):
        load_checkpoint(path, *new_state(0))


def rewritten(
    path: Path, change: Callable[[dict[str, torch.Tensor], dict[str, Any]], object], *, digest: bool
) -> None:
    """Change a checkpoint; without a digest, as those of earlier versions."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        state = json.loads(file.metadata()["state"])
    if not digest:
        del state["sha256"]
    change(tensors, state)
    save_file(tensors, path, {"state": json.dumps(state)})


def saved(path: Path) -> None:
    state = new_state(0)
    steps(state, 1)
    state[0].set_centroids([torch.rand(5, 8)] * 2, [torch.tensor([0, 1, 2, 1, 0])] * 2)
    save_checkpoint(path, *state, next_epoch=2)


@pytest.mark.parametrize("epoch", [-5, 0, 4, 10**9, 10**400, 1.0, 1.5, True, None, "1", [1], {}])
def test_an_epoch_that_cannot_be_is_named(tmp_path: Path, epoch: object) -> None:
    path = tmp_path / "state.safetensors"
    saved(path)
    rewritten(path, lambda _, state: state.update(next_epoch=epoch), digest=True)
    with pytest.raises(
        ModelError, match=r"\(next_epoch = .* is not a whole number from 1 to 3, the"
    ):
        load_checkpoint(path, *new_state(0), epochs=3)


@pytest.mark.parametrize("state", ["", "[1]", "7", "null", "[" * 100_000])
def test_a_state_that_is_none_is_named(tmp_path: Path, state: str) -> None:
    path = tmp_path / "state.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"state": state})
    with pytest.raises(ModelError, match="cannot be used"):
        load_checkpoint(path, *new_state(0))


WEIGHT = "model/decoder.laterals.0.weight"
DAMAGE: dict[str, tuple[Callable[[dict[str, torch.Tensor]], object], str]] = {
    "a weight is missing": (lambda t: t.pop(WEIGHT), f"{WEIGHT} is missing"),
    "a weight is unknown": (lambda t: t.update(odd=torch.zeros(1)), "odd is unknown"),
    "a weight has another shape": (
        lambda t: t.update({WEIGHT: torch.zeros(1)}),
        rf"{WEIGHT} is \[1\] torch.float32 instead of \[8, ",
    ),
    "a weight has another type": (
        lambda t: t.update({WEIGHT: t[WEIGHT].to(torch.int8)}),
        "torch.int8 instead of",
    ),
    "a weight is not a number": (
        lambda t: t[WEIGHT].view(-1)[:1].fill_(torch.nan),
        f"{WEIGHT} has values that are not finite",
    ),
    "a mean is missing": (
        lambda t: t.pop("optimizer/0/exp_avg"),
        "optimizer/0/exp_avg is missing",
    ),
    "a mean is infinite": (
        lambda t: t["optimizer/3/exp_avg"].view(-1)[:1].fill_(torch.inf),
        "optimizer/3/exp_avg has values that are not finite",
    ),
    "a square is negative": (
        lambda t: t["optimizer/3/exp_avg_sq"].view(-1)[:1].fill_(-1),
        "optimizer/3/exp_avg_sq has negative values",
    ),
    "a parameter does not exist": (
        lambda t: t.update({"optimizer/9999/step": torch.zeros(())}),
        "optimizer/9999/step is unknown",
    ),
    "a parameter has no number": (
        lambda t: t.update({"optimizer/-1/step": torch.zeros(())}),
        "optimizer/-1/step is unknown",
    ),
    "centroids have another length": (
        lambda t: t.update({"model/centroids": torch.zeros(2, 5, 9)}),
        r"model/centroids is \[2, 5, 9\]",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_named_before_anything_changes(tmp_path: Path, kind: str) -> None:
    change, message = DAMAGE[kind]
    path = tmp_path / "state.safetensors"
    saved(path)
    rewritten(path, lambda tensors, _: change(tensors), digest=False)
    state = new_state(1)
    before = {name: tensor.clone() for name, tensor in tensors(state)}
    with pytest.raises(ModelError, match=message):
        load_checkpoint(path, *state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in tensors(state))


def test_a_flipped_bit_and_a_lost_state_are_found(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    saved(path)
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match="its tensors do not match their digest"):
        load_checkpoint(path, *new_state(0))
    saved(path)
    names = [f"optimizer/3/{name}" for name in ("step", "exp_avg", "exp_avg_sq")]
    rewritten(path, lambda tensors, _: [tensors.pop(name) for name in names], digest=True)
    with pytest.raises(ModelError, match="its tensors do not match their digest"):
        load_checkpoint(path, *new_state(0))


def test_a_state_of_an_earlier_version_has_no_digest(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    saved(path)
    rewritten(
        path, lambda tensors, _: [tensors.pop(f"model/{n}") for n in ("offsets", "trees")],
        digest=False,
    )  # fmt: skip
    assert load_checkpoint(path, *new_state(1), epochs=2) == 2


def test_a_pipe_or_a_folder_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    os.mkfifo(path)
    with pytest.raises(ModelError, match="cannot be used"):
        load_checkpoint(path, *new_state(0))
    with pytest.raises(ModelError, match="cannot be used"):
        load_checkpoint(tmp_path, *new_state(0))


def test_other_tensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ModelError, match="cannot be used"):
        load_checkpoint(path, *new_state(0))
    save_file({"a": torch.zeros(1)}, path, {"state": '{"next_epoch": 1}'})
    with pytest.raises(ModelError, match="cannot be used"):
        load_checkpoint(path, *new_state(0))


def test_the_state_of_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    save_checkpoint(path, *new_state(0, feature_size=4), next_epoch=1)
    with pytest.raises(ModelError, match="cannot be used"):
        load_checkpoint(path, *new_state(0))

"""The training state: what comes back after a kill, and what is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
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

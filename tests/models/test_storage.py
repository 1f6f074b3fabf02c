"""Models on disk: what comes back, and what is refused."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from picie.config import make_config
from picie.errors import ModelError
from picie.inference.segmenter import Segmenter
from picie.models.picie import PiCIE
from picie.models.storage import MODEL_FORMAT, load_model, save_model
from picie.version import __version__


@pytest.fixture
def saved(model: Segmenter, tmp_path: Path) -> Path:
    model.save(tmp_path / "model")
    return tmp_path / "model"


def edit_card(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("preset", ["default", "reference"])
def test_a_model_comes_back_equal(runs: dict[str, Path], preset: str, tmp_path: Path) -> None:
    network, config = load_model(runs[preset])
    save_model(network, config, tmp_path / "deeper" / "copy")
    again, same_config = load_model(tmp_path / "deeper" / "copy")
    assert same_config == config
    assert again.clusters == network.clusters == 3
    images = torch.rand(2, 3, 64, 32)
    for view in range(len(network.centroids)):
        before = Segmenter(network, config).logits(images, view=view)
        assert torch.equal(Segmenter(again, config).logits(images, view=view), before)


def test_a_folder_holds_two_files_and_no_code(saved: Path) -> None:
    assert {path.name for path in saved.iterdir()} == {"model.safetensors", "config.json"}
    card = json.loads((saved / "config.json").read_text())
    assert (card["format"], card["picie"]) == (MODEL_FORMAT, __version__)
    assert make_config(**card["settings"]).clusters == 3
    tensors = load_file(saved / "model.safetensors")  # reads no pickle
    assert set(tensors) == set(load_model(saved)[0].state_dict())


def test_a_network_without_centroids_comes_back_without_them(tmp_path: Path) -> None:
    config = make_config(backbone="test_efficientnet", feature_size=8, pretrained=False)
    save_model(PiCIE(config.backbone, 8, pretrained=False), config, tmp_path)
    assert load_model(tmp_path)[0].clusters == 0


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_every_tensor_must_fit(saved: Path, change: str) -> None:
    path = saved / "model.safetensors"
    tensors = load_file(path)
    name = next(name for name in tensors if name.startswith("decoder"))
    if change == "missing":
        del tensors[name]
    elif change == "extra":
        tensors["decoder.extra"] = torch.zeros(1)
    else:
        tensors[name] = tensors[name][:1].clone()
    save_file(tensors, path)
    found = "decoder.extra" if change == "extra" else name
    with pytest.raises(ModelError, match=rf"safetensors: does not fit the backbone.*{found}"):
        load_model(saved)


def test_missing_centroids_are_a_missing_tensor(saved: Path) -> None:
    tensors = load_file(saved / "model.safetensors")
    del tensors["centroids"]
    save_file(tensors, saved / "model.safetensors")
    with pytest.raises(ModelError, match="does not fit the backbone of its config"):
        load_model(saved)


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04K\x01.", b"half a file"])
def test_broken_weights_are_named(saved: Path, content: bytes | None) -> None:
    path = saved / "model.safetensors"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model.safetensors: the weights cannot be read .* train"):
        load_model(saved)


@pytest.mark.parametrize("extra", [{}, {"settings": "of a shape not known yet"}])
def test_a_newer_model_asks_for_an_upgrade(saved: Path, extra: dict[str, str]) -> None:
    edit_card(saved, format=MODEL_FORMAT + 1, **extra)
    with pytest.raises(
        ModelError, match=rf"newer picie \(format 2, .* {MODEL_FORMAT}\); upgrade picie"
    ):
        load_model(saved)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 1}', '{"format": "x"}', "\xff"])
def test_a_broken_card_is_named(saved: Path, text: str) -> None:
    (saved / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match=r"config.json: cannot be read \(.+\); train .* again"):
        load_model(saved)


def test_settings_that_are_not_known_are_named(saved: Path) -> None:
    edit_card(saved, settings={"clustrs": 3})
    with pytest.raises(ModelError, match=r"config.json: .*'clustrs'; did you mean 'clusters'"):
        load_model(saved)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone: no such folder; give the --out folder"):
        load_model(tmp_path / "gone")


def test_a_folder_without_model_says_how_to_finish_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"no finished model .* --resume {tmp_path}"):
        load_model(tmp_path)

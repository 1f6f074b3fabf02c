"""Weights from files: what is taken out of them, and that nothing is missing or in excess."""

import argparse
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from picie.config import DEFAULT_BACKBONE
from picie.errors import ModelError
from picie.models.backbones import Backbone
from picie.models.weight_files import read_weights

State = dict[str, Tensor]


def state(name: str = "test_vit", **options: Any) -> State:
    torch.manual_seed(5)
    tensors: State = timm.create_model(name, **options).state_dict()
    return tensors


def saved(content: Any, folder: Path) -> Path:
    path = folder / "weights of mine.pth"
    torch.save(content, path)
    return path


def values(backbone: Backbone) -> list[bytes]:
    return sorted(tensor.numpy().tobytes() for tensor in backbone.state_dict().values())


def refusal(content: Any, folder: Path, name: str = "test_vit") -> str:
    path = saved(content, folder)
    with pytest.raises(ModelError) as caught:
        Backbone(name, weights=path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    "name",
    ["test_vit", "test_efficientnet", "test_convnext", "test_resnet", "test_vit4"],
)
def test_every_tensor_of_the_network_comes_from_the_file(name: str, tmp_path: Path) -> None:
    tensors = state(name)
    built = Backbone(name, weights=saved(tensors, tmp_path))
    known = {tensor.numpy().tobytes() for tensor in tensors.values()}
    assert set(values(built)) <= known
    for module in built.modules():
        assert "state_dict" not in (getattr(module, "pretrained_cfg", None) or {})


def test_both_kinds_of_file_give_the_same(tmp_path: Path) -> None:
    tensors = state(num_classes=0)
    save_file(tensors, tmp_path / "weights.safetensors")
    one = Backbone("test_vit", weights=tmp_path / "weights.safetensors")
    other = Backbone("test_vit", weights=saved(tensors, tmp_path))
    assert values(one) == values(other)
    assert one.notes == other.notes == ()


def test_the_default_backbone_takes_a_file_too(tmp_path: Path) -> None:
    tensors = state(DEFAULT_BACKBONE)
    built = Backbone(DEFAULT_BACKBONE, weights=saved(tensors, tmp_path))
    assert torch.equal(built.state_dict()["stages.conv_stem.weight"], tensors["conv_stem.weight"])


def test_a_checkpoint_of_a_training_with_a_teacher(tmp_path: Path) -> None:
    own = state(num_classes=0)
    teacher = {f"module.backbone.{name}": tensor for name, tensor in own.items()}
    student = {name: tensor * 0 for name, tensor in teacher.items()}
    teacher["module.head.mlp.0.weight"] = torch.zeros(2, 2)
    content = {"student": student, "teacher": teacher, "args": argparse.Namespace(lr=1), "epoch": 9}
    path = saved(content, tmp_path)
    built = Backbone("test_vit", weights=path)
    assert values(built) == values(Backbone("test_vit", weights=saved(own, tmp_path)))
    assert built.notes == (
        f"{path}: took the weights under 'teacher'",
        f"{path}: removed the prefix 'module.'",
        f"{path}: removed the prefix 'backbone.', and ignored 1 tensors without it "
        "(head.mlp.0.weight)",
    )


def test_names_of_the_authors_are_translated(tmp_path: Path) -> None:
    """DINOv2 keeps a token of its pretraining; ConvNeXt came with other names."""
    own = state(num_classes=0)
    built = Backbone("test_vit", weights=saved(own | {"mask_token": torch.zeros(1, 64)}, tmp_path))
    assert values(built) == values(Backbone("test_vit", weights=saved(own, tmp_path)))
    tensors = state("convnext_atto")
    renamed = {
        name.replace("stem.", "downsample_layers.0.")
        .replace(".blocks.", ".")
        .replace("conv_dw", "dwconv")
        .replace("mlp.fc", "pwconv")
        .replace("head.norm", "norm")
        .replace("head.fc", "head"): tensor
        for name, tensor in tensors.items()
        if ".downsample." not in name
    }
    for name, tensor in tensors.items():
        if ".downsample." in name:  # stages.1.downsample.0 was downsample_layers.1.0
            _, stage, _, rest = name.split(".", 3)
            renamed[f"downsample_layers.{stage}.{rest}"] = tensor
    built = Backbone("convnext_atto", weights=saved({"model": renamed}, tmp_path))
    assert set(values(built)) <= {tensor.numpy().tobytes() for tensor in tensors.values()}


def test_positions_of_another_image_size_are_resampled(tmp_path: Path) -> None:
    other = state(num_classes=0, img_size=96)
    built = Backbone("test_vit", weights=saved(other, tmp_path))
    table: Any = built.stages.model
    assert table.pos_embed.shape != other["pos_embed"].shape


def test_heads_may_be_missing_or_in_excess(tmp_path: Path) -> None:
    with_head = Backbone("test_vit", weights=saved(state(), tmp_path))
    assert with_head.notes[0].endswith("ignored 2 tensors of heads (head.weight, head.bias)")
    assert Backbone("test_vit", weights=saved(state(num_classes=0), tmp_path)).notes == ()


CHANGES: list[tuple[Callable[[State], Any], str]] = [
    (
        lambda s: s.pop("cls_token"),
        r"1 of \d+ tensors are missing \(cls_token; it holds .* pass the",
    ),
    (
        lambda s: s.update(strange=s["cls_token"]),
        r"1 tensors are unknown to the network \(strange\); pass",
    ),
    (lambda s: s.update({"norm.bias": torch.zeros(5)}), "norm.bias is 5 where the network has 64"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES)
def test_what_does_not_fit_is_refused(
    change: Callable[[State], Any], words: str, tmp_path: Path
) -> None:
    tensors = state(num_classes=0)
    change(tensors)
    with pytest.raises(ModelError, match=f"does not fit test_vit: .*{words}"):
        Backbone("test_vit", weights=saved(tensors, tmp_path))


def test_statistics_of_batch_norms_must_be_there(tmp_path: Path) -> None:
    tensors = {k: v for k, v in state("test_resnet").items() if "num_batches" not in k}
    Backbone("test_resnet", weights=saved(tensors, tmp_path))
    del tensors["bn1.running_mean"]
    assert "1 of 90 tensors are missing" in refusal(tensors, tmp_path, "test_resnet")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    refused = refusal(state("test_resnet"), tmp_path)
    assert "does not fit test_vit: 78 of 78 tensors are missing" in refused
    assert "does not fit test_convnext" in refusal(state("test_vit"), tmp_path, "test_convnext")


class Unknown:
    pass


def test_a_file_that_holds_objects_is_not_executed(tmp_path: Path) -> None:
    assert "could run code" in refusal({"model": Unknown()}, tmp_path)


def test_a_file_without_tensors(tmp_path: Path) -> None:
    words = "holds no tensors where weights are expected (epoch, loss)"
    assert words in refusal({"epoch": 1, "loss": 2.0}, tmp_path)
    assert "no tensors where weights are expected (a list)" in refusal([1], tmp_path)
    assert "no tensors" in refusal({}, tmp_path)


@pytest.mark.parametrize("name", ["broken.pth", "broken.safetensors", "empty.pth"])
def test_a_broken_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"hello, these are no weights" * ("broken" in name))
    with pytest.raises(ModelError, match=r"cannot be read"):
        read_weights(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no\.pth: no such weight file; check --backbone-w"):
        Backbone("test_vit", weights=tmp_path / "no.pth")
    with pytest.raises(ModelError, match="no such weight file"):
        Backbone("test_vit", weights=tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_values_that_are_not_finite_are_refused(tmp_path: Path, value: float) -> None:
    tensors = state()
    tensors["blocks.0.mlp.fc1.weight"][0, 0] = value
    message = refusal(tensors, tmp_path)
    assert "blocks.0.mlp.fc1.weight holds values that are not finite" in message
    tensors = state()
    tensors["head.weight"][0, 0] = value  # not used
    Backbone("test_vit", weights=saved(tensors, tmp_path))


def test_a_checkpoint_that_contains_itself_ends(tmp_path: Path) -> None:
    content: dict[str, Any] = {}
    content["model"] = content
    assert "holds no tensors" in refusal(content, tmp_path)


def test_tensors_without_values_are_none(tmp_path: Path) -> None:
    tensors = state()
    tensors["cls_token"] = tensors["cls_token"].to("meta")
    assert "1 of" in refusal(tensors, tmp_path)


def test_a_compressed_archive_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    whole = saved({"a": torch.zeros(10_000_000)}, tmp_path)
    packed = tmp_path / "packed.pth"
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            new.writestr(part.filename, old.read(part))
    assert packed.stat().st_size < 100_000
    with pytest.raises(ModelError, match=r"packed\.pth: .*its parts are larger than the file"):
        Backbone("test_vit", weights=packed)

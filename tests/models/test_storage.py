"""Models on disk: what comes back, and what is refused."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from picie.config import Config, make_config
from picie.errors import ModelError
from picie.inference.segmenter import Segmenter
from picie.models.picie import PiCIE
from picie.models.storage import load_model, save_model
from picie.models.stored import MODEL_FORMAT, read_tree
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


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not valid JSON"),
        ("{", "is not valid JSON"),
        ("[]", "holds a list instead of a JSON object"),
        ("{}", "the key 'format' is missing"),
        ('{"format": 1}', "the key 'settings' is missing"),
        ('{"format": "x"}', "format = 'x' is invalid, it must be a whole number"),
        ('{"format": true}', "format = True is invalid"),
        ('{"format": 1, "settings": []}', r"settings = \[\] is invalid"),
        ('{"format": 1, "sha256": 1, "settings": {}}', "sha256 = 1 is invalid"),
        ('{"format": 1, "settings": {"preset": "best"}}', "unknown setting 'preset'"),
        ('{"format": 1, "settings": {"preset": []}}', "unknown setting 'preset'"),
        ("\xff", "is not valid UTF-8 text"),
    ],
)
def test_a_broken_card_is_named(saved: Path, text: str, reason: str) -> None:
    (saved / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match=rf"config.json: {reason}"):
        load_model(saved)


def test_a_card_that_is_a_folder_is_named(saved: Path) -> None:
    (saved / "config.json").unlink()
    (saved / "config.json").mkdir()
    with pytest.raises(ModelError, match=r"config.json: cannot be read \(it is a folder"):
        load_model(saved)


def test_settings_that_are_not_known_are_named(saved: Path) -> None:
    edit_card(saved, settings={"clustrs": 3})
    with pytest.raises(ModelError, match=r"config.json: .*'clustrs'; did you mean 'clusters'"):
        load_model(saved)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone: no such folder; give the --out folder"):
        load_model(tmp_path / "gone")


def test_a_folder_without_model_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"holds no model \(no config.json\); give the --out folder"
    ):
        load_model(tmp_path)


def test_a_run_without_model_says_how_to_finish_it(tmp_path: Path) -> None:
    folder = tmp_path / "my run"
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    with pytest.raises(ModelError, match=rf"no finished model .* --resume '{folder}'$"):
        load_model(folder)


def unsigned(folder: Path) -> Path:
    """The model without the hash of its weights, as earlier versions wrote it."""
    path = folder / "config.json"
    card = json.loads(path.read_text())
    del card["sha256"]
    path.write_text(json.dumps(card))
    return folder / "model.safetensors"


def edit_settings(folder: Path, **changes: object) -> None:
    card = json.loads((folder / "config.json").read_text())
    edit_card(folder, settings=card["settings"] | changes)


def test_the_card_holds_the_hash_of_the_weights(saved: Path) -> None:
    digest = hashlib.sha256((saved / "model.safetensors").read_bytes()).hexdigest()
    assert json.loads((saved / "config.json").read_text())["sha256"] == digest
    unsigned(saved)
    assert load_model(saved)[0].clusters == 3


def test_every_flipped_bit_is_noticed(saved: Path) -> None:
    path = saved / "model.safetensors"
    whole = path.read_bytes()
    for place in range(0, len(whole), len(whole) // 40):
        broken = bytearray(whole)
        broken[place] ^= 1 << place % 8
        path.write_bytes(broken)
        with pytest.raises(ModelError, match=r"model.safetensors: "):
            load_model(saved)


def test_weights_of_another_model_are_refused_with_advice(saved: Path) -> None:
    path = saved / "model.safetensors"
    tensors = load_file(path)
    tensors["decoder.laterals.0.bias"] += 1
    save_file(tensors, path)
    with pytest.raises(ModelError, match=r"is not the file that config.json was written for .* re"):
        load_model(saved)
    unsigned(saved)  # what the message advises
    network, _ = load_model(saved)
    assert torch.equal(
        network.state_dict()["decoder.laterals.0.bias"], tensors["decoder.laterals.0.bias"]
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["decoder.laterals.0.weight", "centroids", "offsets", "running"])
def test_values_that_are_not_finite_are_refused(saved: Path, name: str, value: float) -> None:
    path = unsigned(saved)
    tensors = load_file(path)
    name = next(one for one in tensors if name in one)
    tensors[name].view(-1)[-1] = value
    save_file(tensors, path)
    with pytest.raises(ModelError, match=rf"cannot be used \({name} holds values that are not fin"):
        load_model(saved)


def test_weights_without_a_hash_are_tried(saved: Path) -> None:
    path = unsigned(saved)
    tensors = load_file(path)
    for name in tensors:
        if name.startswith("backbone.") and name.endswith("weight"):
            tensors[name] *= 1e30
    save_file(tensors, path)
    with pytest.raises(ModelError, match=r"cannot be used \(its features are not finite\); get a"):
        load_model(saved)


def other(tensors: dict[str, torch.Tensor], what: str) -> None:
    """Change the tensors of a model of 3 clusters and 8 centroids."""
    groups, trees = tensors["groups"], tensors["trees"]
    match what:
        case "a group of 10^12":
            groups[0, 0] = 10**12
        case "a group below 0":
            groups[0, 0] = -1
        case "groups of floats":
            tensors["groups"] = groups.float()
        case "groups of one dimension":
            tensors["groups"] = groups[0].clone()
        case "sets of centroids":
            for name in ("centroids", "groups", "offsets", "trees"):
                tensors[name] = tensors[name].repeat(3, *[1] * (tensors[name].ndim - 1))
        case "fewer offsets":
            tensors["offsets"] = tensors["offsets"][:, :2].clone()
        case "a longer centroid":
            tensors["centroids"] = tensors["centroids"].repeat(1, 1, 2)
        case "half precision":
            tensors["decoder.laterals.0.weight"] = tensors["decoder.laterals.0.weight"].half()
        case "a smaller tree":
            tensors["trees"] = trees[:, :3].clone()
        case "a node that does not exist":
            trees[0, 0, 0] = 99
        case "a node merged twice":
            trees[0, 1, 0] = trees[0, 0, 0]
        case "half a node":
            trees[0, 0, 1] += 0.5
        case "a variance below 0":
            name = next(name for name in tensors if name.endswith("running_var"))
            tensors[name][0] = -1


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("a group of 10^12", "groups holds numbers outside 0 to 7"),
        ("a group below 0", "groups holds numbers outside 0 to 7"),
        ("groups of floats", "groups is 1 x 8 float32 where the network has"),
        ("groups of one dimension", "groups is 8; a model has at most 2"),
        ("sets of centroids", "at most 2 sets of 8192 centroids"),
        ("fewer offsets", "offsets is 1 x 2 where 1 x 8 is expected"),
        ("a longer centroid", "centroids is 1 x 8 x 16 where 1 x 8 x 8 is expected"),
        ("half precision", "weight is .* float16 where the network has .* float32"),
        ("a smaller tree", "trees is 1 x 3 x 3 where 1 x 7 x 3 is expected"),
        ("a node that does not exist", "trees holds a merge of nodes that do not exist"),
        ("a node merged twice", "trees merges a node twice"),
        ("half a node", "trees holds a merge of nodes that do not exist"),
        ("a variance below 0", "running_var holds variances below 0"),
    ],
)
def test_tensors_that_no_training_gives_are_refused(saved: Path, what: str, message: str) -> None:
    path = unsigned(saved)
    tensors = load_file(path)
    other(tensors, what)
    save_file(tensors, path)
    with pytest.raises(ModelError, match=rf"model.safetensors: .*{message}"):
        load_model(saved)


def test_a_tree_that_is_none_is_not_read(saved: Path) -> None:
    path = saved / "model.safetensors"
    assert read_tree(saved) is not None
    for what in ("a node merged twice", "a smaller tree"):
        tensors = load_file(path)
        other(tensors, what)
        save_file(tensors, path)
        with pytest.raises(ModelError, match=r"the weights cannot be read \(trees"):
            read_tree(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "vit_7b_patch16_dinov3"}, "missing: backbone.stages"),
        ({"backbone": "vit_giant_patch14_clip_224"}, "missing: backbone.stages"),
        ({"backbone": "tf_efficientnet_l2"}, "backbone.stages"),
        ({"feature_size": 4096}, "centroids is 1 x 8 x 8 where 1 x 8 x 4096"),
        ({"backbone_layers": [0]}, r"unknown: decoder.laterals.1.bias.* and 3 more"),
    ],
)
def test_nothing_large_is_built_for_settings_that_do_not_fit_the_file(
    saved: Path, changes: dict[str, object], message: str
) -> None:
    edit_settings(saved, **changes)
    with pytest.raises(ModelError, match=rf"does not fit the backbone of its config \(.*{message}"):
        load_model(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 99_968},
        {"feature_size": 10**9},
        {"refine": 10**9},
        {"predict_scales": [1.0] * 100_000},
        {"predict_scales": [1e308]},
        {"clusters": 10**12},
        {"backbone_layers": [10**12]},
        {"backbone_layers": list(range(100_000))},
        {"backbone": "resnet18.tv_in1k/../.."},
        {"backbone": "x" * 10**6},
        {"backbone": "hf-hub:a/b"},
        {"size": 8192, "overclusters": 8192},
    ],
)
def test_settings_that_cost_too_much_are_refused_by_name(
    saved: Path, changes: dict[str, object]
) -> None:
    edit_settings(saved, **changes)
    with pytest.raises(ModelError, match=rf"config.json: .*{next(iter(changes))}") as caught:
        load_model(saved)
    assert len(str(caught.value)) < 1500


def test_a_header_of_gigabytes_is_not_read(saved: Path) -> None:
    path = saved / "model.safetensors"
    with path.open("r+b") as file:
        file.write((10**9).to_bytes(8, "little"))
        file.truncate(2 * 10**9)  # takes no space
    with pytest.raises(ModelError, match="its header is said to have 1000000000 bytes"):
        load_model(saved)


@pytest.mark.parametrize("key", Config.model_fields)
def test_a_wrong_setting_is_refused_with_file_and_key(
    saved: Path, wrong_values: list[Any], key: str
) -> None:
    """Nothing is loaded before all settings are known to be possible."""
    (saved / "model.safetensors").unlink()
    path, refused = saved / "config.json", 0
    card = json.loads(path.read_text())
    for value in [None, *wrong_values]:
        settings = card["settings"] | {key: value}
        if isinstance(value, int) and value > 2**64:
            continue  # as in JSON: Python reads no decimals of this length
        path.write_text(json.dumps(card | {"settings": settings}))
        with pytest.raises(ModelError) as caught:
            load_model(saved)
        message = str(caught.value)
        assert message.startswith(f"{saved}")
        assert message.isprintable()
        assert len(message) < 5000
        if "model.safetensors" not in message:
            assert message.startswith(f"{path}: ")
            assert key in message
            refused += 1
    assert refused > len(wrong_values) / 2

"""Models by their name on the hub."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import picie
from picie.errors import ConfigError, MissingExtraError, ModelError
from picie.inference.hub import Repository, find_repository, local_folder
from picie.inference.segmenter import Segmenter, load
from picie.models.class_names import ClassNames

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("user/name", Repository("user/name")),
        ("user/name.v2_x-y@v1.0", Repository("user/name.v2_x-y", "v1.0")),
        ("hf://user/name", Repository("user/name", explicit=True)),
        ("hf://user/name@refs/pr/1", Repository("user/name", "refs/pr/1", explicit=True)),
        (Path("hf://user/name"), Repository("user/name", explicit=True)),
        (Path("user/name"), None),
        ("name", None),
        ("a/b/c", None),
        ("./runs/first", None),
        ("../runs", None),
        ("/runs/first", None),
        ("runs/", None),
        ("runs/first model", None),
    ],
)
def test_what_is_a_name_on_the_hub(text: str | Path, wanted: Repository | None) -> None:
    assert find_repository(text) == wanted


@pytest.mark.parametrize("text", ["hf://", "hf://name", "hf://../x", "hf://a/b/c"])
def test_hf_and_no_name(text: str) -> None:
    with pytest.raises(ConfigError, match="give a model on the hub as hf://user/name"):
        local_folder(text)


def test_there_and_back(model: Segmenter, hub: Any) -> None:
    named = model.named(ClassNames.of(3, {"sky": [0]}))
    address = named.push_to_hub("user/name", token="secret")
    assert address == "https://hub/user/name"
    assert hub.private == {"user/name": True}
    assert hub.tokens == ["secret"]
    for source in ("user/name", "hf://user/name", Path("hf://user/name")):
        again = picie.load(source)
        assert again.names == named.names
        assert (again.predict(IMAGE) == named.predict(IMAGE)).all()
    assert 'picie.load("user/name")' in (hub.root / "user/name/README.md").read_text()


def test_a_model_that_is_pushed_again_leaves_nothing_of_the_old_one(
    model: Segmenter, hub: Any
) -> None:
    model.named(ClassNames.of(3, {"sky": [0]})).push_to_hub("user/name", private=False)
    model.push_to_hub("user/name")
    assert hub.private == {"user/name": False}
    assert not (hub.root / "user/name/classes.toml").exists()
    assert picie.load("user/name").names == model.names


def test_a_revision_is_asked_for(model: Segmenter, hub: Any) -> None:
    model.push_to_hub("user/name")
    picie.load("user/name@v1")
    assert hub.asked == [("user/name", "v1")]


def test_only_files_of_a_model_are_taken(model: Segmenter, hub: Any) -> None:
    model.push_to_hub("user/name")
    (hub.root / "user/name/setup.py").write_text("raise SystemExit")
    folder = local_folder("user/name")
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "config.json"}


def test_a_local_folder_wins(
    model: Segmenter, hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model.save("user/name")
    assert picie.load("user/name").run == Path("user/name")
    assert hub.asked == []


def test_neither_here_nor_there(hub: Any) -> None:
    with pytest.raises(ModelError) as caught:
        picie.load("runs/frist")
    text = str(caught.value)
    assert text.startswith("there is no folder runs/frist here, and hf://runs/frist cannot be had")
    assert "(404 Client Error: runs/frist); check the name" in text


def test_without_a_network(hub: Any) -> None:
    hub.error = ConnectionError("cannot reach huggingface.co\nlong story")
    with pytest.raises(ModelError) as caught:
        load("hf://user/name")
    text = str(caught.value)
    assert text.startswith("hf://user/name cannot be had from the Hugging Face Hub (cannot reach")
    assert "connect to the network" in text
    assert "long story" not in text


def test_a_missing_folder_given_as_a_path_is_never_looked_for_on_the_hub(hub: Any) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        picie.load(Path("runs/frist"))
    assert hub.asked == []


def test_a_repository_that_holds_no_model(hub: Any) -> None:
    (hub.root / "user/name").mkdir(parents=True)
    with pytest.raises(ModelError, match="holds no finished model"):
        picie.load("user/name")


def test_a_hub_that_refuses(model: Segmenter, hub: Any) -> None:
    hub.error = PermissionError("401 Client Error. token secret?")
    with pytest.raises(ModelError, match=r"hf://user/name cannot be written \(401 .*hf auth login"):
        model.push_to_hub("user/name")


@pytest.mark.parametrize("name", ["name", "user/name@v1", "../name"])
def test_a_name_that_cannot_be_pushed_to(model: Segmenter, hub: Any, name: str) -> None:
    with pytest.raises(ConfigError, match="give the name of a repository on the hub as user/name"):
        model.push_to_hub(name)


def test_without_the_package(model: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for call in (lambda: picie.load("user/name"), lambda: model.push_to_hub("user/name")):
        with pytest.raises(MissingExtraError, match=r'pip install "picie\[hub\]"'):
            call()

"""A folder for others: whole, strict, and silent about this machine."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import picie
from picie.config import Config
from picie.errors import ConfigError, DataError, MissingExtraError, ModelError, NotFittedError
from picie.inference.hub import Repository, find_repository, local_folder
from picie.inference.segmenter import Segmenter, load
from picie.models.class_names import ClassNames
from picie.models.picie import PiCIE
from picie.runs import Run

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


@pytest.fixture
def named(model: Segmenter) -> Segmenter:
    return model.named(ClassNames.of(3, {"sky": [0]}))


def test_it_reads_back_the_same(named: Segmenter, tmp_path: Path) -> None:
    named.save_pretrained(tmp_path / "a folder" / "ü")
    again = picie.load(tmp_path / "a folder" / "ü")
    assert again.names == named.names
    assert (again.predict(IMAGE) == named.predict(IMAGE)).all()
    assert again.config.clusters == named.config.clusters


def test_nothing_names_a_place_of_this_machine(
    runs: dict[str, Path], scenes: Path, tmp_path: Path
) -> None:
    model = load(runs["default"], device="cpu")
    model.save_pretrained(tmp_path / "out", photos=scenes / "images")
    for path in (tmp_path / "out").iterdir():
        data = path.read_bytes()
        for place in (str(scenes), str(runs["default"]), str(tmp_path), "scene_0"):
            assert place.encode() not in data, path.name
    settings = json.loads((tmp_path / "out/config.json").read_text())["settings"]
    assert (settings["data"], settings["cache_dir"]) == ("", "")
    assert (settings["device"], settings["workers"]) == ("auto", -1)


def test_no_setting_that_holds_a_path_is_passed_on(model: Segmenter, tmp_path: Path) -> None:
    words = {"backbone", "dataset", "split", "device", "track"}
    texts = {
        name: "/secret/weights.pth"
        for name, info in Config.model_fields.items()
        if info.annotation is str and name not in words
    }
    assert {"data", "cache_dir", "backbone_weights"} <= set(texts)
    Segmenter(model.network, model.config.model_copy(update=texts)).save_pretrained(tmp_path)
    for name in ("config.json", "README.md"):
        assert "secret" not in (tmp_path / name).read_text()
    assert "| backbone_weights | weights.pth |" in (tmp_path / "README.md").read_text()


def test_the_card_counts_the_images_and_tells_the_health(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    load(runs["default"]).save_pretrained(tmp_path / "out")
    text = (tmp_path / "out/README.md").read_text()
    assert "6 images, without labels" in text
    assert "## Health" in text
    assert "| silhouette |" in text
    assert "| learning_rate | 0.003 |" in text
    assert "## Scores" not in text


def test_a_cut_model_does_not_carry_the_health_of_another_number_of_clusters(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    model = load(runs["default"])
    assert model.post_processed(refine=1).run == model.run
    assert model.cut(4).run is None
    model.cut(4).save_pretrained(tmp_path / "out")
    assert "## Health" not in (tmp_path / "out/README.md").read_text()


def test_a_model_fresh_from_training_knows_its_run(runs: dict[str, Path]) -> None:
    assert load(runs["default"]).run == runs["default"]


def test_images_that_are_gone_are_not_counted(model: Segmenter, tmp_path: Path) -> None:
    config = model.config.model_copy(update={"data": str(tmp_path / "gone")})
    Segmenter(model.network, config).save_pretrained(tmp_path / "out")
    assert "A folder of images, without labels" in (tmp_path / "out/README.md").read_text()


def test_scores_of_the_run_or_of_a_file_or_given(runs: dict[str, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("model.safetensors", "config.json"):
        shutil.copy(runs["default"] / name, run)
    values = {"miou": 12.5, "accuracy": 50.0, "protocol": {"images": 3, "data": "/secret"}}
    (run / "scores.json").write_text(json.dumps(values))
    model = load(run)
    for number, scores in enumerate((None, run / "scores.json", str(run / "scores.json"), values)):
        out = tmp_path / f"out{number}"
        model.save_pretrained(out, scores=scores)
        text = (out / "README.md").read_text()
        assert "| dataset mIoU | 12.5 % |" in text
        assert "secret" not in text


@pytest.mark.parametrize("text", ["{", '{"miou": 1}', "[]", '{"miou": "x", "accuracy": 1}'])
def test_scores_that_are_none(model: Segmenter, tmp_path: Path, text: str) -> None:
    path = tmp_path / "scores.json"
    path.write_text(text)
    refused = (
        r"scores.json: (contains no scores .* picie evaluate --json|is not valid|holds a list)"
    )
    with pytest.raises(DataError, match=refused):
        model.save_pretrained(tmp_path / "out", scores=path)
    assert not (tmp_path / "out").exists()


def test_the_sheet_shows_six_photos_at_most(named: Segmenter, scenes: Path, tmp_path: Path) -> None:
    named.save_pretrained(tmp_path / "out", photos=scenes / "images")
    with Image.open(tmp_path / "out/sheet.png") as sheet:
        assert sheet.height > 6 * 180
    assert "(sheet.png)" in (tmp_path / "out/README.md").read_text()


def test_saving_again_leaves_nothing_of_the_old_model(
    named: Segmenter, model: Segmenter, scenes: Path, tmp_path: Path
) -> None:
    named.save_pretrained(tmp_path, photos=scenes / "images" / "scene_0000.jpg")
    model.save_pretrained(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"model.safetensors", "config.json", "README.md"}


def test_a_folder_with_other_files_is_refused(
    model: Segmenter, runs: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "letter.txt").write_text("")
    with pytest.raises(ConfigError, match=r"contains other files \(letter.txt\)"):
        model.save_pretrained(tmp_path)
    before = (runs["default"] / "config.json").read_bytes()
    with pytest.raises(ConfigError, match="contains other files"):
        model.save_pretrained(runs["default"])
    assert (runs["default"] / "config.json").read_bytes() == before


@pytest.mark.parametrize("method", ["save", "save_pretrained"])
def test_models_of_others_and_trained_ones_are_never_replaced(
    named: Segmenter, runs: dict[str, Path], tmp_path: Path, method: str
) -> None:
    foreign = {
        "config.json": '{"model_type": "bert"}',
        "model.safetensors": "weights",
        "classes.toml": "mine = 1",
    }
    if method == "save_pretrained":
        foreign |= {"README.md": "# Mine", "sheet.png": "mine"}
    for name, text in foreign.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(text)
        with pytest.raises(ConfigError, match=f"{name}: was not written by picie, and is not repl"):
            getattr(named, method)(tmp_path / name)
        assert [path.read_text() for path in (tmp_path / name).iterdir()] == [text]
    loaded = load(runs["default"])
    for model in (loaded, loaded.cut(4)):
        with pytest.raises(ConfigError, match=r"holds the trained model|contains other files"):
            getattr(model, method)(runs["default"])
    named.save_pretrained(tmp_path / "shared")
    before = (tmp_path / "shared" / "README.md").read_bytes()
    (tmp_path / "link").symlink_to(tmp_path / "shared")
    with pytest.raises(
        ConfigError, match="link: holds the trained model, which is kept; give a ne"
    ):
        getattr(load(tmp_path / "shared"), method)(tmp_path / "link")
    assert (tmp_path / "shared" / "README.md").read_bytes() == before
    getattr(named, method)(tmp_path / "shared")  # another model than the one that is in memory


def test_a_shared_model_of_an_early_version_is_replaced(
    named: Segmenter, scenes: Path, tmp_path: Path
) -> None:
    named.save_pretrained(tmp_path, photos=scenes / "images")
    with Image.open(tmp_path / "sheet.png") as sheet:
        sheet.copy().save(tmp_path / "sheet.png")  # it had no note of its origin
    named.save_pretrained(tmp_path, photos=scenes / "images")


def test_a_file_in_place_of_the_folder(model: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(ConfigError, match="is a file; give a folder"):
        model.save_pretrained(tmp_path / "out")


def test_a_licence_that_is_none_is_refused_before_anything_is_written(
    model: Segmenter, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="give an identifier"):
        model.save_pretrained(tmp_path / "out", license="MIT License")
    assert not (tmp_path / "out").exists()


def test_a_model_without_centroids(model: Segmenter, tmp_path: Path) -> None:
    empty = Segmenter(PiCIE("test_efficientnet", 8, pretrained=False), model.config)
    with pytest.raises(NotFittedError):
        empty.save_pretrained(tmp_path / "out")


# --- models by their name on the hub


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("hf://user/name", Repository("user/name")),
        ("hf://user/name.v2_x-y@v1.0", Repository("user/name.v2_x-y", "v1.0")),
        ("hf://user/name@refs/pr/1", Repository("user/name", "refs/pr/1")),
        (Path("hf://user/name"), Repository("user/name")),
        ("user/name", None),
        ("user/name@v1", None),
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
    with pytest.raises(ConfigError, match="give a model on the hub as hf://user/name") as caught:
        local_folder(text)
    assert str(caught.value).startswith(f"{text}: ")


def test_a_message_has_the_slash_that_a_path_has_lost() -> None:
    with pytest.raises(ConfigError, match=r"^hf://name: give a model on the hub"):
        local_folder(Path("hf://name"))


def test_there_and_back(model: Segmenter, hub: Any) -> None:
    named = model.named(ClassNames.of(3, {"sky": [0]}))
    address = named.push_to_hub("user/name", token="secret")
    assert address == "https://hub/user/name"
    assert hub.private == {"user/name": True}
    assert hub.tokens == ["secret"]
    for source in ("hf://user/name", Path("hf://user/name")):
        again = picie.load(source)
        assert again.names == named.names
        assert (again.predict(IMAGE) == named.predict(IMAGE)).all()
    assert 'picie.load("hf://user/name")' in (hub.root / "user/name/README.md").read_text()


def test_a_model_that_is_pushed_again_leaves_nothing_of_the_old_one(
    model: Segmenter, hub: Any
) -> None:
    model.named(ClassNames.of(3, {"sky": [0]})).push_to_hub("user/name", private=False)
    model.push_to_hub("user/name")
    assert hub.private == {"user/name": False}
    assert not (hub.root / "user/name/classes.toml").exists()
    assert picie.load("hf://user/name").names == model.names


def test_a_revision_is_asked_for(model: Segmenter, hub: Any) -> None:
    model.push_to_hub("user/name")
    picie.load("hf://user/name@v1")
    assert hub.asked == [("user/name", "v1")]


def test_only_files_of_a_model_are_taken(model: Segmenter, hub: Any) -> None:
    model.push_to_hub("user/name")
    (hub.root / "user/name/setup.py").write_text("raise SystemExit")
    folder = local_folder("hf://user/name")
    assert {path.name for path in folder.iterdir()} == {"model.safetensors", "config.json"}


def test_a_path_is_never_looked_for_on_the_hub(
    model: Segmenter, hub: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model.save("runs/first")
    assert picie.load("runs/first").run == Path("runs/first")
    for mistyped in ("runs/frist", "rusn/first", Path("runs/frist")):
        for load_it in (picie.load, lambda path: Run.open(Path(path))):
            with pytest.raises(ModelError, match=r": no such folder; did you mean runs/first\?$"):
                load_it(mistyped)
    model.push_to_hub("user/name")
    with pytest.raises(ModelError) as caught:
        picie.load("user/name")
    assert str(caught.value) == (
        "user/name: no such folder; check the path and the working directory; a model of that name "
        "on the Hugging Face Hub is hf://user/name"
    )
    assert hub.asked == []


def test_a_file_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("user").mkdir()
    Path("user/model").touch()
    with pytest.raises(ModelError, match="user/model: is not a folder; give the --out folder"):
        picie.load("user/model")


def test_without_a_network(hub: Any) -> None:
    hub.error = ConnectionError("cannot reach huggingface.co\nlong story")
    with pytest.raises(ModelError) as caught:
        load("hf://user/name")
    text = str(caught.value)
    assert text.startswith(
        "hf://user/name cannot be loaded from the Hugging Face Hub (cannot reach"
    )
    assert "connect to the network" in text
    assert "long story" not in text


def test_a_repository_that_holds_no_model(hub: Any) -> None:
    (hub.root / "user/name").mkdir(parents=True)
    with pytest.raises(ModelError, match="holds no model"):
        picie.load("hf://user/name")


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
    for call in (lambda: picie.load("hf://user/name"), lambda: model.push_to_hub("user/name")):
        with pytest.raises(MissingExtraError, match=r'pip install "picie\[hub\]"'):
            call()

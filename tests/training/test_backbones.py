"""Backbones of other kinds from the first step to the mask."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch.nn import functional as F

import picie
from picie.config import make_config, read_config
from picie.errors import ModelError
from picie.inference.segmenter import Segmenter
from picie.models.picie import PiCIE
from picie.postprocessing.tiling import blended
from picie.postprocessing.upsampling import upsample

KINDS: dict[str, dict[str, Any]] = {
    "patches of 16": {"backbone": "test_vit", "backbone_layers": (-3, -1)},
    "patches of 14": {"backbone": "test_vit", "epochs": 0},
    "patches of 14, trained": {"backbone": "test_vit", "backbone_rate": 0.1},
    "stages": {"backbone": "test_convnext", "backbone_layers": (-2, -1)},
}


@pytest.fixture
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Settings; timm's small transformer has patches of 14 pixels where the name says so."""
    real = timm.create_model

    def create(name: str, **options: Any) -> Any:
        return real(name, patch_size=14, img_size=168, **options)

    if "14" in request.param:
        monkeypatch.setattr(timm, "create_model", create)
    return KINDS[request.param]


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_a_model_is_trained_stored_and_predicts_at_any_size(
    kind: dict[str, Any], scenes: Path, settings: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    values = settings["default"] | {"size": 64, "base_size": 64, "epochs": 1} | kind
    trained = picie.train(scenes, tmp_path / "run", **values)
    loaded = picie.load(tmp_path / "run")
    assert loaded.config.backbone_layers == kind.get("backbone_layers", ())
    for sides in ((75, 109), (31, 200), (40, 40)):
        image = np.random.default_rng(0).integers(0, 256, (*sides, 3), np.uint8)
        mask = loaded.predict(image)
        assert mask.shape == sides
        assert np.array_equal(mask, trained.predict(image))
        assert np.array_equal(mask, loaded.predict(image, tile=1024))
        both = loaded.post_processed(scales=(1, 1.5), refine=1)
        assert both.predict(image).shape == sides


@pytest.mark.parametrize("kind", ["patches of 16", "patches of 14"], indirect=True)
def test_one_tile_of_a_transformer_is_the_whole(kind: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = PiCIE("test_vit", 4, pretrained=False)
    model.set_centroids([torch.eye(4)], [torch.arange(4)])
    segmenter = Segmenter(
        model, make_config(backbone="test_vit", pretrained=False, clusters=4, refine=0)
    )
    image = torch.rand(3, 128, 96)
    whole = segmenter.logits(image[None])
    found = blended(segmenter.logits, image, 128)
    finer = F.interpolate(whole, size=found.shape[1:], mode="bilinear", align_corners=False)[0]
    assert found.shape[1:] == ((8, 6) if model.stride == 16 else (16, 12))
    torch.testing.assert_close(found, finer)
    masks = [upsample(one, (130, 100)) for one in (whole[0], found)]
    assert np.mean(masks[0] == masks[1]) > 0.9


def test_weights_from_a_file_are_needed_for_training_only(
    scenes: Path,
    settings: dict[str, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(1)
    tensors = timm.create_model("test_vit", num_classes=0).state_dict()
    torch.save({"teacher": {f"backbone.{k}": v for k, v in tensors.items()}}, tmp_path / "my.pth")
    monkeypatch.chdir(tmp_path)
    values = settings["default"] | {"epochs": 0, "backbone": "test_vit"}
    picie.train(scenes, "run", backbone_weights="my.pth", **values)
    config = read_config(tmp_path / "run" / "config.toml")
    assert config.backbone_weights == str(tmp_path / "my.pth")  # from any folder
    log = (tmp_path / "run" / "train.log").read_text()
    assert "took the weights under 'teacher'" in log
    assert "removed the prefix 'backbone.'" in log
    (tmp_path / "my.pth").unlink()
    stored = picie.load("run").network.state_dict()
    name = "backbone.stages.model.blocks.0.attn.qkv.weight"
    assert torch.equal(stored[name], tensors[name.removeprefix("backbone.stages.model.")])


def test_weights_that_do_not_fit_leave_no_run(
    scenes: Path, settings: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "other.pth")
    values = settings["default"] | {"backbone_weights": str(tmp_path / "other.pth")}
    with pytest.raises(
        ModelError, match=r"other\.pth: does not fit test_efficientnet: 68 of 80 tensors"
    ):
        picie.train(scenes, tmp_path / "run", **values)
    assert not (tmp_path / "run").exists()

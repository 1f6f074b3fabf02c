"""Models and run folders of earlier versions: they load, and predict the masks that they did.

`old_models` holds a model of 0.1.0, trained with the preset `reference`, and one of the version
before settings were folded, trained with `default`; each beside the mask that its own version gave.
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import picie
from picie.cli.app import main
from picie.config import Config
from picie.runs import Run

OLD = Path(__file__).parent / "old_models"
NAMES = ("0.1.0-reference", "before-0.2-default")


@pytest.mark.parametrize("name", NAMES)
def test_an_old_model_predicts_the_same_mask_and_says_what_is_gone(name: str) -> None:
    with pytest.warns(FutureWarning) as said:
        model = picie.load(OLD / name, device="cpu")
    lines = [str(one.message) for one in said]
    assert len(lines) == 1
    assert "\n" not in lines[0]
    assert f"{name}/config.json: written by an earlier picie" in lines[0].replace("\\", "/")
    assert "no longer exist: blur_max, blur_min, " in lines[0]
    mask = model.predict(OLD / "photo.png")
    wanted = np.asarray(Image.open(OLD / name / "mask.png"))
    assert len(np.unique(wanted)) >= 3
    # Another processor may round another way, which decides a pixel on a boundary here and there.
    assert (mask == wanted).mean() > 0.998


def test_their_settings_are_those_of_today() -> None:
    with pytest.warns(FutureWarning):
        reference = picie.load(OLD / NAMES[0], device="cpu").config
    assert (reference.similarity, reference.view_rule, reference.batchnorm) == (
        *("dot", "authors"),
        "batch",
    )
    assert reference.predict_rule == "dot"
    with pytest.warns(FutureWarning):
        default = picie.load(OLD / NAMES[1], device="cpu").config
    assert default.predict_rule == "cosine"
    own = {"data", "clusters", "seed", "epochs", "batch_size", "size", "base_size", "backbone"}
    own |= {"pretrained", "feature_size", "kmeans_images", "kmeans_pixels", "workers", "device"}
    own |= {"overclusters"}
    plain = Config(refine=0).model_dump(exclude=own)
    assert default.model_dump(exclude=own) == plain


@pytest.mark.parametrize("name", NAMES)
def test_an_old_run_folder_opens(name: str) -> None:
    with pytest.warns(FutureWarning, match=r"config\.toml: written by an earlier picie"):
        run = Run.open(OLD / name)
    assert run.version == "0.1.0"
    assert len(run.metrics()) == run.config.epochs


def test_the_command_line_says_it_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["predict", str(OLD / NAMES[1]), str(OLD / "photo.png"), "--out", str(tmp_path)])
    said = capsys.readouterr()
    lines = [line for line in (said.out + said.err).splitlines() if "earlier picie" in line]
    assert len(lines) == 1
    assert "Warning" not in lines[0]
    assert (tmp_path / "photo.png").exists()

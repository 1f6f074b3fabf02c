"""`picie info` on finished, unfinished and unusual runs."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from picie.cli.app import main
from picie.config import make_config
from picie.runs import Run


def test_a_finished_run(
    runs: dict[str, Path], scenes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["info", str(runs["default"])])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{runs['default']} (picie ")
    assert lines[1].split(maxsplit=1) == ["images", f"{scenes}, split train"]
    assert lines[2].split(maxsplit=1) == ["network", "test_efficientnet, 3 clusters, 32 px"]
    assert lines[3].split(maxsplit=1) == ["objective", "picie"]
    assert lines[4].split(maxsplit=1)[1].startswith("default, except epochs = 3, batch_size = 3")
    assert lines[5].split(maxsplit=1) == ["epochs", "3 of 3 done"]
    assert lines[6].split(maxsplit=1)[1].startswith(f"{runs['default']}/model.safetensors (0.")
    rows = [line.split("│")[1].strip() for line in lines if line.startswith("│")]
    assert rows == ["1", "2", "3"]
    assert "clusters   3; any number up to 8 with picie predict --clusters" in lines[7]
    health = lines[lines.index("health (no labels used)") + 1 :]
    measures = [line for line in health if not line.startswith("  warning")]
    assert any(line.startswith("  effective clusters ") for line in measures)
    assert len({line.rindex(" ") for line in measures}) == 1  # the numbers stand in one column


def test_an_unfinished_run_says_how_to_go_on(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs["reference"], run)
    (run / "model.safetensors").unlink()
    metrics = run / "metrics.jsonl"
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:2]) + '{"epo')
    main(["info", str(run)])
    text = capsys.readouterr().out
    assert "preset     reference, except epochs = 3" in text
    assert "epochs     2 of 3 done" in text
    assert f"unfinished; resume with: picie train --resume {run}" in text


@pytest.mark.parametrize("rest", [None, "{"])
def test_a_model_with_a_broken_part_is_not_called_finished(
    rest: str | None,
    runs: dict[str, Path],
    tmp_path: Path,
    failure: Callable[..., tuple[int, str]],
) -> None:
    run = tmp_path / "run"
    shutil.copytree(runs["default"], run)
    (run / "config.json").unlink()
    if rest is not None:
        (run / "config.json").write_text(rest)
    code, text = failure("info", run)
    assert code == 1
    assert "config.json" in text


def test_curves_may_have_gaps(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(runs["reference"], tmp_path / "run")
    lines = ['{"epoch": 0, "loss": null, "miou": 1.5}', '{"epoch": 1, "loss": 2}', '{"note": 1}']
    (run / "metrics.jsonl").write_text("\n".join(lines))
    (run / "health.json").write_text('{"information": "x", "view_agreement": 0.5}')
    main(["info", str(run)])
    rows = [line.split("│")[1:3] for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["1", ""],
        ["2", "2.0000"],
        ["", ""],
    ]


def test_a_run_that_has_just_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = make_config("paper", data="/photos [old]", clusters=5, seed=3)
    run = Run.create(tmp_path / "run [/x]", config, version="0.0")
    main(["info", str(run.folder)])
    text = capsys.readouterr().out
    assert f"{run.folder} (picie 0.0)" in text  # brackets are no markup
    assert "images     /photos [old]\n" in text
    assert "preset     paper\n" in text
    assert "epochs     0 of 10 done" in text


def test_scores_are_shown_where_there_are_any(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run.create(tmp_path / "run", make_config(), version="0.0")
    record = {
        **{"epoch": 0, "loss": 1.5, "within": 1.0, "cross": 2.0},
        **{"effective_clusters": [2.5, 3.5], "seconds": {"cluster": 1.6, "train": 2.0}},
    }
    run.append_metrics(record | {"accuracy": 61.25, "miou": 33.0})
    run.append_metrics(record | {"epoch": 1})
    main(["info", str(run.folder)])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│")]
    cells = [[cell.strip() for cell in row.strip("│").split("│")] for row in rows]
    assert cells[0] == ["1", "1.5000", "1.0000", "2.0000", "2.5 3.5", "4", "61.2", "33.0"]
    assert cells[1][-2:] == ["", ""]


def test_backbones_are_listed_by_a_part_of_their_name(capsys: pytest.CaptureFixture[str]) -> None:
    main(["info", "--backbones", "patch14_dinov2"])
    out, err = capsys.readouterr()
    names = out.splitlines()
    assert "vit_small_patch14_dinov2.lvd142m" in names
    assert all("patch14_dinov2" in name for name in names)
    assert names == sorted(names)
    assert err == "vit_*patch14*dinov2*: size 448, base_size 448, unless you give others\n"
    main(["info", "--backbones", "resnet18.tv*"])
    assert capsys.readouterr() == ("resnet18.tv_in1k\n", "")


def test_settings_that_a_backbone_implies_are_no_exceptions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_config(backbone="vit_small_patch14_dinov2.lvd142m", base_size=512)
    main(["info", str(Run.create(tmp_path / "run", config, version="0.0").folder)])
    text = capsys.readouterr().out
    assert 'default, except base_size = 512, backbone = "vit_small_patch14_dinov2.lvd142m"' in text


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (
            ["--backbones", "qqqq"],
            "--backbones qqqq: timm has weights for no network of this name; try",
        ),
        ([], "which run? Give its folder"),
        (["runs/first", "--backbones", "vit"], "give a run folder or --backbones, not both"),
    ],
)
def test_what_info_cannot_show(
    args: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["info", *args])
    assert caught.value.code == 2
    assert words in capsys.readouterr().err

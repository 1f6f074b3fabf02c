"""Tiny trees of known data sets."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from picie.data.datasets.registry import open_dataset
from picie.data.folder import PhotoFolder


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Writes an image or mask below the root; one number fills (2, 3) pixels."""

    def write(file: str, pixels: object = 0) -> Path:
        values = np.asarray(pixels, np.uint8)
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((2, 3), values) if values.ndim == 0 else values).save(path)
        return path

    return write


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., PhotoFolder]:
    """Opens the root, with labels: opened(name, split)."""

    def open_it(name: str, split: str = "", *, labelled: bool = True) -> PhotoFolder:
        return open_dataset(name, tmp_path, split, labelled=labelled)

    return open_it


@pytest.fixture
def truths() -> Callable[[PhotoFolder], dict[str, list[int]]]:
    """The class ids in the mask of each photo, without repeats, in the order of the pixels."""

    def read(folder: PhotoFolder) -> dict[str, list[int]]:
        found = {}
        for photo in folder.photos:
            with Image.open(photo.path) as image:
                size = image.size
            mask = folder.truth(photo, image_size=size)
            found[photo.name] = list(dict.fromkeys(mask.ravel().tolist()))
        return found

    return read

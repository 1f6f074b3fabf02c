"""Records of made-up runs."""

from collections.abc import Callable
from typing import Any

import pytest

MakeRecord = Callable[..., dict[str, Any]]


@pytest.fixture
def make_record() -> MakeRecord:
    """A finished run; keyword arguments replace parts of it."""

    def make(
        *,
        system: str = "mine",
        data: str = "photos",
        seed: int = 0,
        accuracy: float = 50.0,
        miou: float = 20.0,
        protocol: dict[str, Any] | None = None,
        scores: dict[str, Any] | None = None,
        **other: Any,
    ) -> dict[str, Any]:
        named = {
            "data": f"/somewhere/{data}",
            "split": "val",
            "images": 3,
            "size": 320,
            "crop": "center",
            "clusters": 11,
            "K": 11,
            "matching": "hungarian (one-to-one)",
            "post_processing": "none",
            "centroids": "trained model, clean pictures",
            "unreadable": 0,
        }
        record = {
            "system": system,
            "backbone": "resnet18",
            "seed": seed,
            "data": {
                "name": data,
                "train": "train",
                "eval": "val",
                "pictures": {"train": {"images": 6}, "eval": {"images": 3}},
            },
            "scores": {
                "accuracy": accuracy,
                "miou": miou,
                "protocol": named | (protocol or {}),
                **(scores or {}),
            },
            "curves": [],
            "health": None,
            "seconds": {"train": 60.0, "evaluate": 1.0, "resumed": False, "parts": {}},
            "versions": {"picie": "0.2.0", "torch": "2.14.1", "python": "3.12.1"},
            "commit": None,
            "machine": {
                "system": "Linux",
                "processor": "x86_64",
                "cores": 2,
                "threads": 1,
                "accelerator": "",
            },
        }
        return record | other

    return make

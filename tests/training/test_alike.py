"""What processes must share; real ones with other photos are in `test_nodes`."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from picie.config import make_config
from picie.data.folder import Photo, open_folder
from picie.errors import ConfigError, DataError, ModelError
from picie.models.picie import PiCIE
from picie.runtime.distributed import Processes
from picie.runtime.heartbeat import Member
from picie.training.alike import check_alike


@dataclass(frozen=True)
class Heard(Processes):
    """The second of two processes, which has kept what the first one said."""

    said: Any = None

    def gather(self, value: Any) -> list[Any]:
        if isinstance(value, str):  # the first difference, which the first process has not
            return ["", value]
        self.said.append(value)
        return [self.said[0], value]

    def first(self, value: Any) -> Any:
        return self.entries

    entries: Any = None


@pytest.fixture
def check(scenes: Path) -> Callable[..., None]:
    """Checks two processes that differ in what is given."""
    photos = open_folder(scenes).photos
    config = make_config(data="here", backbone="test_efficientnet", pretrained=False)
    network = PiCIE("test_efficientnet", 8, pretrained=False)
    entries = [(one.name, f"{one.path.stat().st_size} bytes") for one in photos]

    def run(**other: Any) -> None:
        said: list[Any] = []
        members = tuple(Member(rank, "host", str(rank), "gloo", "1") for rank in range(2))
        for values in ({}, other):
            heard = Heard(2, 1, "cpu", None, members, said, entries)
            check_alike(
                heard,
                config.model_copy(update=values.get("settings", {})),
                values.get("network", network),
                values.get("photos", photos),
            )

    return run


def test_what_belongs_to_a_machine_may_differ(check: Callable[..., None]) -> None:
    check()
    check(settings={"data": "there", "workers": 3, "cache_dir": "/scratch", "device": "cpu"})


def test_the_first_setting_that_differs_is_named(check: Callable[..., None]) -> None:
    with pytest.raises(ConfigError, match=r"^process 1 \(on host, node 1\) has seed = 4 and proc"):
        check(settings={"seed": 4})


def test_other_weights_are_refused(check: Callable[..., None]) -> None:
    with pytest.raises(ModelError, match="begin with different weights of test_efficientnet"):
        check(network=PiCIE("test_efficientnet", 8, pretrained=False))


def test_the_first_photo_that_differs_is_named(check: Callable[..., None], scenes: Path) -> None:
    photos = open_folder(scenes).photos
    stored = [*photos[:-1], Photo("s3://x/a.jpg", photos[-1].name, None, stamp="5-etag")]
    cases = [
        (photos[1:], f"8 images instead of 9, {photos[0].name} is missing instead of "),
        (stored, f"{photos[-1].name} is 5-etag instead of "),
        ([*photos[:-1], Photo("gone.jpg", photos[-1].name, None)], "is unreadable instead of "),
    ]
    for some, text in cases:
        with pytest.raises(DataError, match=text) as caught:
            check(photos=some)
        assert "here: process 1 (on host, node 1) sees other images" in str(caught.value)

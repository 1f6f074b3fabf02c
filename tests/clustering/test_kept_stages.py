"""Maps that are kept are those that the backbone gives, to the bit, in any batch."""

from pathlib import Path
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor

from picie.clustering.kept_stages import KeptStages
from picie.models.backbones import Backbone
from picie.models.picie import PiCIE

IMAGES = torch.rand(5, 3, 64, 96, generator=torch.Generator().manual_seed(0))
NUMBERS = torch.tensor([7, 3, 9, 1, 4])
PASSES = [[7, 3, 9], [3, 9, 7], [9, 1]]
MUCH = 10**9


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return PiCIE("tf_efficientnet_lite0", 8).eval().backbone


def counting(backbone: Backbone) -> Mock:
    """The backbone, which notes how many images it gets."""
    return Mock(wraps=backbone, in_parts=Mock(wraps=backbone.in_parts))


@torch.no_grad()
def ask(stages: KeptStages, backbone: Backbone | Mock, rows: list[int]) -> list[Tensor]:
    return stages(backbone, NUMBERS[rows], IMAGES[rows])


@torch.no_grad()
def fresh(backbone: Backbone, rows: list[int]) -> list[Tensor]:
    return backbone.in_parts(IMAGES[rows])


def test_images_are_computed_once(backbone: Backbone, tmp_path: Path) -> None:
    stages, network = KeptStages(PASSES, tmp_path, MUCH), counting(backbone)
    for rows in ([0, 1, 2], [1, 2, 0], [2, 3]):
        for found, expected in zip(ask(stages, network, rows), fresh(backbone, rows), strict=True):
            assert torch.equal(found, expected)
            assert found.stride() == expected.stride()
    computed = [len(call.args[0]) for call in network.in_parts.call_args_list]
    assert computed == [3, 1]
    assert list(tmp_path.iterdir()) == []
    stages.close()


def test_only_what_comes_again_is_kept(backbone: Backbone, tmp_path: Path) -> None:
    stages, network = KeptStages([[7], [3]], tmp_path, MUCH), counting(backbone)
    ask(stages, network, [0, 1])
    ask(stages, network, [0, 1])
    assert [len(call.args[0]) for call in network.in_parts.call_args_list] == [2, 2]


@pytest.mark.parametrize("trouble", ["small", "truncated", "closed", "no folder"])
def test_without_a_file_everything_is_computed(
    backbone: Backbone, tmp_path: Path, trouble: str
) -> None:
    (tmp_path / "file").write_bytes(b"")
    folder = tmp_path / "file" if trouble == "no folder" else tmp_path / "folder"
    stages = KeptStages(PASSES, folder, 10 if trouble == "small" else MUCH)
    ask(stages, backbone, [0, 1])
    if trouble == "truncated":
        assert stages._file is not None
        stages._file.truncate(100)
    if trouble == "closed":
        stages.close()
    for found, expected in zip(ask(stages, backbone, [1, 0]), fresh(backbone, [1, 0]), strict=True):
        assert torch.allclose(found, expected, atol=1e-4)

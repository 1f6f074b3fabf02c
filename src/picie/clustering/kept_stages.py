"""Feature maps that a frozen backbone gave, kept for later passes over the same images."""

import logging
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from io import FileIO
from pathlib import Path

import torch
from torch import Tensor

from picie.models.backbones import Backbone

__all__ = ["KeptStages"]

_LOG = logging.getLogger("picie")


class KeptStages:
    """The maps of unaugmented images: computed once, then read from an anonymous file.

    The backbone is most of the work of a clustering. While it is frozen, an image always has the
    same maps, whatever the decoder has learnt. A file keeps them out of the memory of the process.
    On other devices than the CPU nothing is kept, since computing is faster there than copying.

    Args:
        passes: indices of the images of each pass that is planned; maps are kept while a later
            pass will read them, so without passes none are.
        folder: folder of the file, created if missing.
        most: maximum size of the file in bytes.
    """

    def __init__(
        self, passes: Iterable[Sequence[int]] = (), folder: Path = Path(), most: int = 0
    ) -> None:
        """Store the arguments; the file is created when there is something to keep."""
        self._uses = Counter(index for order in passes for index in order)
        self._folder, self._most = folder, most
        self._file: FileIO | None = None
        self._places: dict[int, int] = {}  # offsets in the file
        self._like: list[Tensor] = []  # (1, C, h, w): sizes, type and memory format of the maps

    def __call__(self, backbone: Backbone, indices: Tensor, images: Tensor) -> list[Tensor]:
        """The maps of some images.

        Args:
            backbone: frozen, the same in all calls; without planned passes, any.
            indices: (B,) indices of the images.
            images: (B, 3, H, W) float in [0, 1], of the same size in all calls.

        Returns:
            Per stage (B, C_i, h_i, w_i).
        """
        if not self._uses or not len(images) or images.device.type != "cpu":
            plain: list[Tensor] = backbone(images)
            return plain
        numbers = indices.tolist()
        self._uses.subtract(numbers)
        held = {row for row, number in enumerate(numbers) if number in self._places}
        maps = self._read(numbers, held) if held else None
        rest = [row for row in range(len(numbers)) if row not in held]
        if maps is None:
            maps = backbone.in_parts(images)
        elif rest:
            for one, new in zip(maps, backbone.in_parts(images[rest]), strict=True):
                one[rest] = new
        self._keep(numbers, maps)
        return maps

    def close(self) -> None:
        """Remove the file; nothing is kept from now on."""
        file, self._file, self._most = self._file, None, 0
        self._places.clear()
        if file is not None:
            file.close()

    def _read(self, numbers: Sequence[int], rows: Collection[int]) -> list[Tensor] | None:
        """Maps of which some rows are filled; None if the file cannot be read."""
        assert self._file is not None
        maps = [
            one.new_empty(len(numbers), *one.shape[1:]).to(memory_format=_memory_format(one))
            for one in self._like
        ]
        try:
            for row in rows:
                self._file.seek(self._places[numbers[row]])
                for one in maps:
                    _fill(self._file, _pixels(one, row).view(torch.uint8).numpy().data)
        except OSError as error:
            self._give_up(error)
            return None
        return maps

    def _keep(self, numbers: Sequence[int], maps: Sequence[Tensor]) -> None:
        need = sum(one[:1].nbytes for one in maps)
        try:
            for row, number in enumerate(numbers):
                place = len(self._places) * need
                if self._uses[number] <= 0 or number in self._places or place + need > self._most:
                    continue
                file = self._opened(maps)
                file.seek(place)
                for one in maps:
                    rest = _pixels(one, row).view(torch.uint8).numpy().data
                    while rest:
                        rest = rest[file.write(rest) :]
                self._places[number] = place
        except OSError as error:
            self._give_up(error)

    def _opened(self, maps: Sequence[Tensor]) -> FileIO:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115
            self._like = [one[:1].clone() for one in maps]
        return self._file

    def _give_up(self, error: OSError) -> None:
        _LOG.debug("%s: maps are computed again instead of kept (%s)", self._folder, error)
        self.close()


def _fill(file: FileIO, rest: memoryview) -> None:
    while rest:
        count = file.readinto(rest)
        if not count:
            raise OSError("the file was truncated")
        rest = rest[count:]


def _memory_format(maps: Tensor) -> torch.memory_format:
    last = torch.channels_last
    return last if maps.is_contiguous(memory_format=last) else torch.contiguous_format


def _pixels(maps: Tensor, row: int) -> Tensor:
    """The values (n,) of one image in the order of the memory."""
    image = maps[row]
    if _memory_format(maps) == torch.channels_last:
        image = image.permute(1, 2, 0)
    return image.contiguous().flatten()

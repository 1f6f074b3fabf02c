"""From pictures in any form to masks at their own size."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from picie.clustering.pseudo_labels import group_scores, scores
from picie.config import Config
from picie.data.folder import open_folder
from picie.data.images import read_image, to_rgb
from picie.devices import choose_device
from picie.errors import DataError
from picie.models.picie import PiCIE
from picie.storage import load_model, save_model
from picie.views.geometric import scaling_matrix

__all__ = ["Mask", "Prediction", "Segmenter", "enlarge", "load", "predict"]

Mask = NDArray[np.int64]
"""(H, W) cluster ids 0..K-1."""

_LONGEST = 16  # largest ratio of the sides that the network sees
_STRIP_VALUES = 2**24  # logits held at once while a mask is enlarged, 64 MB in float32


@dataclass(frozen=True)
class Prediction:
    """One picture of a folder.

    Attributes:
        name: its path inside the folder, without the extension.
        path: the file.
        image: (H, W, 3) uint8 RGB; empty where it could not be read.
        mask: (H, W) int64 cluster ids; None where it could not be read.
        problem: why it could not be read, else "".
    """

    name: str
    path: Path
    image: NDArray[np.uint8]
    mask: Mask | None
    problem: str = ""


class Segmenter:
    """A trained model that turns pictures into cluster masks.

    Args:
        network: features and centroids.
        config: the settings it was trained with.

    Example:
        >>> model = picie.load("runs/first")  # doctest: +SKIP
        >>> model.predict("photo.jpg").shape  # doctest: +SKIP
        (480, 640)
    """

    def __init__(self, network: PiCIE, config: Config) -> None:
        self.config = config
        self.device = choose_device(config.device)
        self.network = network.eval().to(self.device).to(memory_format=torch.channels_last)

    @property
    def clusters(self) -> int:
        """K, the number of different ids in masks."""
        return self.network.clusters

    @torch.no_grad()
    def logits(self, images: Tensor, *, view: int = 0) -> Tensor:
        """Similarity of each feature pixel to each cluster: that of its best centroid.

        Args:
            images: (B, 3, H, W) float in [0, 1].
            view: which set of centroids, from 0.

        Returns:
            (B, K, h, w) float32; larger = nearer.
        """
        self.network.eval()
        centroids, groups = self.network.view_centroids(view)
        features = F.normalize(self.network(images.to(self.device)), dim=1)
        return group_scores(scores(features, centroids, self.config.predict_rule), groups)

    def predict(self, source: Any, *, view: int = 0) -> Any:
        """Cluster ids of one picture, or of a folder of them.

        Args:
            source: a path to a picture or to a folder of them; a PIL image; an array (H, W, 3)
                uint8 RGB or (H, W) grey; a tensor (3, H, W) or (B, 3, H, W), float in [0, 1] or
                uint8, RGB.
            view: which set of centroids, from 0 (a model of the reference preset keeps two).

        Returns:
            (H, W) int64 at the picture's own size; (B, H, W) for a batch; for a folder an iterator
            of `Prediction`, so that thousands of pictures do not fill the memory.

        Raises:
            DataError: a path or a value that is no picture.
        """
        if isinstance(source, str | Path):
            path = Path(source)
            if path.is_dir():
                return self.predict_folder(path, view=view)
            return self._one(read_image(open_folder(path).photos[0].path), view)
        if isinstance(source, Tensor) and source.ndim == 4 and len(source):
            return np.stack([self._one(_from_tensor(picture), view) for picture in source])
        return self._one(_as_array(source), view)

    def predict_folder(
        self, source: str | Path, *, split: str = "", view: int = 0, batch_size: int = 8
    ) -> Iterator[Prediction]:
        """Masks of all pictures of a folder, in the order of their names.

        Pictures that cannot be read come with a `problem` instead of a mask.

        Args:
            source: a folder or one picture.
            split: list file of the folder.
            view: which set of centroids, from 0.
            batch_size: most pictures of one size that go through the network together.
        """
        waiting: list[tuple[Prediction, Tensor]] = []
        for photo in open_folder(source, split).photos:
            try:
                image = read_image(photo.path)
            except DataError as error:
                yield from self._flush(waiting, view)
                waiting = []
                empty = np.zeros((0, 0, 3), np.uint8)
                yield Prediction(photo.name, photo.path, empty, None, str(error))
                continue
            pixels = self._network_input(image)
            if waiting and (waiting[0][1].shape != pixels.shape or len(waiting) == batch_size):
                yield from self._flush(waiting, view)
                waiting = []
            waiting.append((Prediction(photo.name, photo.path, image, None), pixels))
        yield from self._flush(waiting, view)

    def save(self, folder: str | Path) -> None:
        """Write `model.safetensors` and `config.json`."""
        save_model(self.network, self.config, Path(folder))

    def _flush(self, waiting: list[tuple[Prediction, Tensor]], view: int) -> Iterable[Prediction]:
        if not waiting:
            return
        logits = self.logits(torch.stack([pixels for _, pixels in waiting]), view=view)
        for (entry, _), one in zip(waiting, logits, strict=True):
            mask = enlarge(one, entry.image.shape[:2])
            yield Prediction(entry.name, entry.path, entry.image, mask)

    def _one(self, image: NDArray[np.uint8], view: int) -> Mask:
        logits = self.logits(self._network_input(image)[None], view=view)
        return enlarge(logits[0], image.shape[:2])

    def _network_input(self, image: NDArray[np.uint8]) -> Tensor:
        """(3, h, w) float: short side at the training size, both sides multiples of 32.

        Whole cells at the coarsest stride keep the feature map aligned with the picture. Pictures
        more than 16 times as long as wide are squeezed to 16 times.
        """
        height, width = image.shape[:2]
        scale = self.config.size / min(height, width)
        # A picture of one row of pixels would grow without bound.
        wanted = (min(side * scale, _LONGEST * self.config.size) for side in (width, height))
        size = tuple(max(32, 32 * round(side / 32)) for side in wanted)
        resized = Image.fromarray(image).resize((size[0], size[1]), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(resized)).permute(2, 0, 1).float().div_(255)


def load(folder: str | Path, *, device: str = "") -> Segmenter:
    """Read a trained model.

    Args:
        folder: the `--out` folder of a training run, or one written by `Segmenter.save`.
        device: auto, cpu, cuda or mps; as in training if empty.

    Raises:
        ModelError: missing, broken or newer files.
    """
    network, config = load_model(Path(folder))
    if device:
        config = config.model_copy(update={"device": device})
    return Segmenter(network, config)


def predict(model: Segmenter | str | Path, source: Any) -> Any:
    """Cluster ids of one picture, or of a folder of them; see `Segmenter.predict`.

    Args:
        model: a trained model, or its folder.
        source: a path, PIL image, array, tensor or folder.
    """
    return (model if isinstance(model, Segmenter) else load(model)).predict(source)


def enlarge(logits: Tensor, size: tuple[int, ...]) -> Mask:
    """Cluster ids at another size: the logits are enlarged bilinearly, then the largest is taken.

    Done in strips of rows, so that the memory does not grow with the size of the picture.

    Args:
        logits: (K, h, w).
        size: (H, W).
    """
    rows, columns = (
        scaling_matrix(source, target, antialias=False)
        for source, target in zip(logits.shape[1:], size, strict=True)
    )
    wide = torch.einsum("khw,Ww->hWk", logits.float().cpu(), columns)  # (h, W, K)
    step = max(1, _STRIP_VALUES // wide[0].numel())
    strips = [
        torch.tensordot(rows[top : top + step], wide, 1).argmax(2)
        for top in range(0, size[0], step)
    ]
    return torch.cat(strips).numpy()


def _as_array(source: Any) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 from a PIL image, an array or a (3, H, W) tensor."""
    if isinstance(source, Image.Image) and source.width and source.height:
        return to_rgb(source)
    if isinstance(source, Tensor):
        return _from_tensor(source)
    if isinstance(source, np.ndarray) and source.dtype == np.uint8 and source.size:
        if source.ndim == 2:
            return np.stack([source] * 3, axis=2)
        if source.ndim == 3 and source.shape[2] == 3:
            return np.ascontiguousarray(source)
    shape = f" of shape {source.shape}, {source.dtype}" if isinstance(source, np.ndarray) else ""
    raise DataError(
        f"a {type(source).__name__}{shape} is no picture; give a path, a PIL image, a uint8 array "
        "(H, W, 3) RGB, or a tensor (3, H, W) with values in [0, 1]"
    )


def _from_tensor(picture: Tensor) -> NDArray[np.uint8]:
    if picture.ndim != 3 or picture.shape[0] != 3 or not picture.numel():
        raise DataError(
            f"a tensor of shape {tuple(picture.shape)} is no picture; give (3, H, W) or "
            "(B, 3, H, W), RGB"
        )
    if picture.is_floating_point():
        if not (picture.min() >= 0 and picture.max() <= 1):  # NaN is in no range
            raise DataError(
                f"the tensor has values from {picture.min():.3g} to {picture.max():.3g}; give "
                "[0, 1] (not normalised) or uint8"
            )
        picture = (picture * 255).round().to(torch.uint8)
    if picture.dtype != torch.uint8:
        raise DataError(f"the tensor is of {picture.dtype}; give float in [0, 1] or uint8")
    return picture.permute(1, 2, 0).cpu().numpy()

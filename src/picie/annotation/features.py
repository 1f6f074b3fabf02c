"""Features of images, kept on disk, so that the next stroke does not wait for the network.

RUN/features/ has one file for each image, named by the network and the image: (D, h, w) float16 as
`numpy.save` writes it. The folder may be removed at any time.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from picie.annotation.events import digest_of_image
from picie.data.folder import Photo, PhotoFolder
from picie.data.photo_loader import LoadedPhoto, in_batches, read_ahead
from picie.data.prefetch import photo_workers
from picie.inference.segmenter import TILE, Segmenter
from picie.models.centroids import LEARNT
from picie.models.storage import hash_tensors
from picie.postprocessing.tiling import blended
from picie.runtime.files import open_regular, write_atomically, writing
from picie.runtime.progress import Reporter

__all__ = ["FeatureCache", "Features", "feature_maps", "network_digest"]

Features = NDArray[np.float16]
"""(D, h, w), of any length."""

_BATCH = 8  # images in the network at once
_DIGITS = 16


def feature_maps(
    model: Segmenter, folder: PhotoFolder, *, tile: int = TILE
) -> Iterator[tuple[LoadedPhoto, Tensor | None]]:
    """The photos of a folder with their features from the network, None if unreadable.

    Args:
        model: any with the network.
        folder: the images.
        tile: longest side that the network processes at once, in pixels; 0 = any.

    Yields:
        (D, h, w) float32 on the device of the model, of any length, with each image.
    """

    def of_bytes(pixels: Tensor) -> Tensor:
        return model.features(pixels.float() / 255)

    def maps(batch: Sequence[LoadedPhoto]) -> list[Tensor]:
        pixels = torch.stack([image.pixels for image in batch if image.pixels is not None])
        if tile and max(pixels.shape[2:]) > tile:
            return [blended(of_bytes, image, tile) for image in pixels]
        return list(of_bytes(pixels))

    workers = photo_workers(-1, model.device)
    images = read_ahead(
        folder.photos,
        model.config.size,
        ahead=_BATCH + workers,
        workers=workers,
        reading=folder.reading,
    )
    return in_batches(images, _BATCH, maps)


class FeatureCache:
    """Features of the images of a model, computed when they are wanted first.

    Args:
        model: any with this network: named, taught or neither.
        folder: for the files; None = nothing is kept.
    """

    def __init__(self, model: Segmenter, folder: Path | None) -> None:
        self._model, self._folder = model, folder
        self._digests: dict[str, tuple[str, str]] = {}  # by file: its state, and digest
        self._network = network_digest(model)

    def each(
        self,
        photos: PhotoFolder,
        *,
        keep: bool = True,
        reporter: Reporter | None = None,
        task: str = "looking at images",
    ) -> Iterator[tuple[Photo, Features | None, str]]:
        """The photos with their features, None if unreadable, and the problem; in their order.

        Args:
            photos: the images.
            keep: write what was computed to the folder.
            reporter: shows progress; None = silent.
            task: what it shows.
        """
        shown = reporter or Reporter(quiet=True)
        paths = {photo: self._path(photo) for photo in photos.photos}
        known = {photo for photo, path in paths.items() if path is not None and path.exists()}
        computed = self._computed([p for p in photos.photos if p not in known], photos)
        with shown.task(task, len(photos)) as advance:
            for photo in photos.photos:
                features, problem = _read(paths[photo]) if photo in known else None, ""
                if features is None:
                    # A known one is damaged: it is computed anew, and on its own.
                    source = self._computed([photo], photos) if photo in known else computed
                    image, features = next(source)
                    problem = image.problem
                    if keep and features is not None:
                        _write(paths[photo], features)
                yield photo, features, problem
                advance(1)

    def knows(self, photo: Photo) -> bool:
        """Whether the features of an image are on the disk."""
        path = self._path(photo)
        return path is not None and path.exists()

    def sample(self, photos: PhotoFolder) -> NDArray[np.float16] | None:
        """The (M, D) features that `keep_sample` kept for the same images, or None."""
        features = _read(self._sample_path(photos))
        return None if features is None else features[0]

    def keep_sample(self, photos: PhotoFolder, cells: NDArray[np.float16]) -> None:
        """Keep (M, D) features of cells of some images."""
        _write(self._sample_path(photos), cells[None])

    def _sample_path(self, photos: PhotoFolder) -> Path | None:
        if self._folder is None:
            return None
        states = [f"{photo.file}|{photo.page}|{_state(photo.path)}" for photo in photos.photos]
        digest = hashlib.sha256("\n".join(states).encode("utf-8", "surrogateescape")).hexdigest()
        return self._folder / f"{self._network}-sample-{digest[:_DIGITS]}.npy"

    def _computed(
        self, photos: Sequence[Photo], folder: PhotoFolder
    ) -> Iterator[tuple[LoadedPhoto, Features | None]]:
        for image, features in feature_maps(self._model, replace(folder, photos=tuple(photos))):
            yield image, None if features is None else features.cpu().half().numpy()

    def _path(self, photo: Photo) -> Path | None:
        if self._folder is None:
            return None
        state = _state(photo.path)
        known, digest = self._digests.get(photo.file, ("", ""))
        if not state or state != known:
            digest = digest_of_image(photo.path)
            self._digests[photo.file] = state, digest
        if not digest:
            return None  # reading it will say why
        page = f"-{photo.page}" * bool(photo.page)
        return self._folder / f"{self._network}-{digest}{page}.npy"


def network_digest(model: Segmenter) -> str:
    """16 hexadecimal digits that change with anything that features depend on."""
    settings = model.config.model_dump(mode="json", include=set(_SETTINGS))
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    tensors = model.network.state_dict()
    hash_tensors(digest, {name: tensors[name] for name in tensors if name not in LEARNT})
    return digest.hexdigest()[:_DIGITS]


_SETTINGS = ("backbone", "backbone_layers", "size", "reading")


def _state(path: Path) -> str:
    """Size and time of a file; "" if it is gone."""
    try:
        state = path.stat()
    except OSError:
        return ""
    return f"{state.st_size}|{state.st_mtime_ns}"


def _read(path: Path | None) -> Features | None:
    if path is None:
        return None
    try:
        with open_regular(path) as file:
            features = np.load(BytesIO(file.read()), allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    good = features.ndim == 3 and features.dtype == np.float16
    return features if good else None


def _write(path: Path | None, features: Features) -> None:
    if path is None:
        return
    content = BytesIO()
    np.save(content, features, allow_pickle=False)
    with writing(path):
        path.parent.mkdir(exist_ok=True)
    write_atomically(path, content.getvalue())

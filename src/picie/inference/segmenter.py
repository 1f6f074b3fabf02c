"""From images in any form to masks at their own size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Self, get_args, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from picie.clustering.pseudo_labels import group_scores, scores
from picie.clustering.tree import cut_network
from picie.config import Config, make_config
from picie.data.folder import PhotoFolder, open_folder
from picie.data.images import as_array, check_size, network_input, read_image
from picie.data.photo_loader import LoadedPhoto, choose_workers, in_batches, read_ahead
from picie.errors import ConfigError
from picie.inference.hub import local_folder, spread, upload_folder, write_pretrained
from picie.inference.outputs import cluster_name, outputs_of
from picie.models.class_names import IGNORED, ClassNames, read_classes, write_classes
from picie.models.folding import FoldedCopy
from picie.models.picie import PiCIE
from picie.models.storage import load_model, save_model
from picie.postprocessing.refinement import average_scales, refine_boundaries
from picie.postprocessing.tiling import blended, check_tile
from picie.postprocessing.upsampling import Mask, upsample
from picie.runs import CLASSES_FILE
from picie.runtime.devices import autocast, choose_device
from picie.visualization.palette import Colours, palette

__all__ = [
    "TILE",
    "Mask",
    "Pixels",
    "Precision",
    "Prediction",
    "Segmenter",
    "load",
    "loaded",
    "predict",
]

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Pixels = Image.Image | NDArray[np.uint8] | Tensor
"""One image in memory, or a tensor (B, 3, H, W) of several."""

TILE = 1024
"""Most pixels of a side that go through the network at once, unless told otherwise."""


@dataclass(frozen=True)
class Prediction:
    """One image of a folder.

    Attributes:
        name: its path inside the folder, without the extension.
        path: the file.
        image: (H, W, 3) uint8 RGB; empty where it could not be read.
        mask: (H, W) int64 ids 0..N-1, or IGNORED (-1); None where it could not be read.
        problem: why it could not be read, else "".
    """

    name: str
    path: Path
    image: NDArray[np.uint8]
    mask: Mask | None
    problem: str = ""


class Segmenter:
    """A trained model that turns images into cluster masks.

    The network may be trained further or loaded anew afterwards; predictions follow it. Names do
    not change it: `network` always has the clusters that were trained.

    Args:
        network: features and centroids.
        config: the settings it was trained with.
        precision: of the network's arithmetic: fp32, bf16 or fp16; auto is bf16 on a CUDA device
            that has it, else fp32. Logits are float32 in any case.
        class_names: names of its clusters; None = ids are cluster numbers.

    Attributes:
        run: folder that it was read from; None where it was not, or has other clusters now.

    Raises:
        ConfigError: an unknown device or precision, or names that do not fit the model.
        NotFittedError: names for a model that has learnt nothing.

    Example:
        >>> model = picie.load("runs/first")  # doctest: +SKIP
        >>> model.predict("photo.jpg").shape  # doctest: +SKIP
        (480, 640)
    """

    run: Path | None = None

    def __init__(
        self,
        network: PiCIE,
        config: Config,
        *,
        precision: Precision = "fp32",
        class_names: ClassNames | None = None,
    ) -> None:
        self.config = config
        self.device = choose_device(config.device)
        self.network = network.eval().to(self.device).to(memory_format=torch.channels_last)
        if precision not in get_args(Precision):
            known = ", ".join(get_args(Precision))
            raise ConfigError(f"unknown precision {precision!r}; known: {known}")
        self._precision = precision
        self._folded = FoldedCopy(self.network)
        self.class_names = class_names
        self._outputs = None if class_names is None else outputs_of(self.network, class_names)

    @overload
    def predict(
        self, source: Pixels, *, view: int = 0, size: int | None = None, tile: int = TILE
    ) -> Mask: ...

    @overload
    def predict(
        self, source: PhotoFolder, *, view: int = 0, size: int | None = None, tile: int = TILE
    ) -> Iterator[Prediction]: ...

    @overload
    def predict(
        self, source: str | Path, *, view: int = 0, size: int | None = None, tile: int = TILE
    ) -> Any: ...

    def predict(
        self,
        source: Pixels | PhotoFolder | str | Path,
        *,
        view: int = 0,
        size: int | None = None,
        tile: int = TILE,
    ) -> Any:
        """Ids of one image, or of a folder of them: of named classes, else of clusters.

        Args:
            source: a path to an image or to a folder of them; a PIL image; an array (H, W, 3)
                uint8 RGB or (H, W) grey; a tensor (3, H, W) or (B, 3, H, W), float in [0, 1] or
                uint8, RGB.
            view: which set of centroids, from 0 (a model of the reference preset keeps two; names
                are those of the first).
            size: short side in pixels at which the network sees an image, a multiple of 32; as in
                training if None.
            tile: most pixels of a side that go through the network at once, a multiple of 32 from
                128; what the network sees of larger images is cut into overlapping tiles and
                their logits are blended. 0 = never.

        Returns:
            (H, W) int64 at the image's own size, 0..N-1 or IGNORED (-1); (B, H, W) for a batch;
            for a folder an iterator of `Prediction`, so that thousands of images do not fill the
            memory. A type checker cannot know whether a path is a folder: use `predict_folder`
            where types matter.

        Raises:
            DataError: a path or a value that is no image.
            ConfigError: a size or a tile that cannot be, or a view that names do not belong to.
        """
        if isinstance(source, PhotoFolder):
            return self.predict_folder(source, view=view, size=size, tile=tile)
        if isinstance(source, str | Path):
            path = Path(source)
            if path.is_dir():
                return self.predict_folder(path, view=view, size=size, tile=tile)
            source = read_image(open_folder(path).photos[0].path)
        size = self._checked(size, tile, view)
        if isinstance(source, Tensor) and source.ndim == 4 and len(source):
            return np.stack([self._one(image, view, size, tile) for image in source])
        return self._one(source, view, size, tile)

    def predict_folder(
        self,
        source: str | Path | PhotoFolder,
        *,
        split: str = "",
        view: int = 0,
        batch_size: int = 8,
        size: int | None = None,
        tile: int = TILE,
        workers: int = -1,
    ) -> Iterator[Prediction]:
        """Masks of all images of a folder, in the order of their names.

        Images that cannot be read come with a `problem` instead of a mask. Masks do not depend on
        `workers`, nor, but for the rounding of the network's sums, on `batch_size`.

        Args:
            source: a folder or one image, or a folder that is opened already.
            split: list file of the folder; not for one that is opened already.
            view: which set of centroids, from 0.
            batch_size: most images of one size that go through the network together. Images of
                other sizes may lie between them.
            size: as in `predict`.
            tile: as in `predict`.
            workers: threads that read images while the network computes; 0 = none, -1 = chosen
                from the cores.

        Raises:
            DataError: no such folder, split or images.
            ConfigError: a size, tile, batch size or number of workers that cannot be.
        """
        size = self._checked(size, tile, view)
        if batch_size < 1 or workers < -1:
            raise ConfigError(
                f"batch size {batch_size}, workers {workers}: give 1 or more images in a batch, "
                "and 0 or more workers or -1 for a number chosen from the cores"
            )
        folder = source if isinstance(source, PhotoFolder) else open_folder(source, split)
        workers = choose_workers(workers, self.device)
        images = read_ahead(folder.photos, size, ahead=batch_size + workers, workers=workers)
        return self._predictions(images, batch_size, view, tile)

    @property
    def clusters(self) -> int:
        """N, the number of different ids in masks: of named classes, then of unnamed clusters."""
        return self.network.clusters if self._outputs is None else len(self._outputs.names)

    @property
    def names(self) -> tuple[str, ...]:
        """N names by id; "cluster 5" for a cluster that has none."""
        if self._outputs is None:
            return tuple(cluster_name(number) for number in range(self.clusters))
        return self._outputs.names

    @property
    def colours(self) -> Colours:
        """(N, 3) uint8 sRGB by id."""
        return palette(self.clusters) if self._outputs is None else self._outputs.colours

    @property
    def centroid_ids(self) -> Tensor:
        """(P,) int64, the id of each centroid of the first view; N where it is ignored."""
        if self._outputs is None:
            return self.network.view_centroids(0)[1].cpu()
        return self._outputs.ids

    def named(self, class_names: ClassNames | None) -> Self:
        """The same model with names for its clusters; weights are shared.

        Masks, `names` and `colours` then have one id for each class in the order of its entries,
        and after them one for each cluster that has no name. Names belong to the first view.

        Args:
            class_names: the names; None takes them away.

        Raises:
            ConfigError: names that do not fit the model.
            NotFittedError: nothing was learnt.
        """
        return self._changed(self.network, self.config, class_names)

    def cut(self, clusters: int) -> Self:
        """The same model with another number of clusters and without names, without training.

        Weights are shared.

        Args:
            clusters: K, from 2 to the number of centroids; ids are numbered anew.

        Raises:
            ConfigError: a number that cannot be, or clusters that a learnt classifier separates.
            NotFittedError: nothing was learnt.
        """
        network = cut_network(self.network, clusters)
        config = self.config.model_copy(update={"clusters": clusters})
        return self._changed(network, config, None)

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Pixel features, not normalised.

        Args:
            images: (B, 3, H, W) float in [0, 1].

        Returns:
            (B, D, h, w) float32 with h = H / stride, rounded up.
        """
        self.network.eval()
        lean = self._folded()
        with autocast(self.device, self._precision):
            features: Tensor = lean(images.to(self.device))
        return features.float()

    @torch.no_grad()
    def classify(self, features: Tensor, *, view: int = 0) -> Tensor:
        """Similarity of each feature to each id in masks: that of its best centroid.

        Args:
            features: (B, D, h, w) as `features` gives them.
            view: which set of centroids, from 0.

        Returns:
            (B, N, h, w) float32; larger = nearer. Where some class is ignored one channel more, its
            score, comes last.
        """
        self.check_view(view)
        centroids, _, offsets = self.network.view_centroids(view)
        rule = self.config.predict_rule
        if rule != "cosine" and self.config.unit_features:  # cosine divides by the length itself
            features = F.normalize(features, dim=1)
        found = scores(features, centroids, rule) + offsets[:, None, None]
        return self._grouped(found, view)

    def check_view(self, view: int) -> None:
        """Refuse a set of centroids that masks cannot be made from.

        Raises:
            ConfigError: the model has names, which belong to view 0, and `view` is another.
            NotFittedError: nothing was learnt, or not as many views.
        """
        if view and self._outputs is not None:
            raise ConfigError(
                f"view {view}: the names belong to view 0; take them away with named(None), or "
                "load(folder, named=False)"
            )
        self.network.view_centroids(view)

    @torch.no_grad()
    def logits(self, images: Tensor, *, view: int = 0) -> Tensor:
        """What masks are made from: `classify` of the `features`, then the post-processing.

        Args:
            images: (B, 3, H, W) float in [0, 1], sides multiples of 32.
            view: which set of centroids, from 0.

        Returns:
            (B, N, h, w) float32 on the grid of the features; (B, N, H / 2, W / 2) where several
            scales are averaged or borders refined, as the config says. N + 1 channels where some
            class is ignored, as in `classify`.
        """
        self.check_view(view)  # before the network works for nothing
        scales, iterations = self.config.predict_scales, self.config.refine

        def plain(images: Tensor) -> Tensor:
            return self.classify(self.features(images), view=view)

        if scales == (1.0,) and not iterations:
            return plain(images)
        averaged = average_scales(plain, images, scales)
        return refine_boundaries(averaged, images.to(averaged.device), iterations)

    def post_processed(
        self, *, scales: Sequence[float] | None = None, refine: int | None = None
    ) -> Self:
        """The same model with another post-processing; weights are shared and names kept.

        Args:
            scales: factors of the size at which images are seen, 0.25..4; None = as they are.
            refine: iterations of boundary refinement, 0 = none; None = as they are.

        Raises:
            ConfigError: values that cannot be.
        """
        changed = {"predict_scales": scales and tuple(scales), "refine": refine}
        values = {name: value for name, value in changed.items() if value is not None}
        config = make_config(**self.config.model_dump() | values)
        return self._changed(self.network, config, self.class_names)

    def save(self, folder: str | Path) -> None:
        """Write `model.safetensors` and `config.json`, and `classes.toml` if there are names."""
        save_model(self.network, self.config, Path(folder))
        if self.class_names is not None:
            write_classes(Path(folder) / CLASSES_FILE, self.class_names)

    def save_pretrained(
        self, folder: str | Path, *, photos: str | Path | None = None, **card: Any
    ) -> None:
        """Write a folder for others: model, names, a card (README.md) and a sheet of images.

        It names no path of this machine. `load` reads it.

        Args:
            folder: a new one, or one that was written so, whose files are replaced.
            photos: a folder; six of them and their masks are shown in sheet.png.
            **card: `license`, an identifier that the hub knows, such as `apache-2.0`; `scores` as
                `picie evaluate --json` writes them, or such a file (the run's own scores.json, if
                it has one, if left out); `source`, the user/name that the card tells to load.

        Raises:
            ConfigError: a folder that holds other files, or a license that is no identifier.
            DataError: no photos, or scores that cannot be read.
            PicieError: a file cannot be written.
        """
        shown = None if photos is None else self.predict_folder(spread(open_folder(photos)))
        write_pretrained(self, Path(folder), run=self.run, shown=shown, **card)

    def push_to_hub(
        self, name: str, *, private: bool = True, token: str | None = None, **card: Any
    ) -> str:
        """Publish what `save_pretrained` writes as the repository user/name; gives its address.

        Args:
            name: user/name; made where it is missing, its model replaced where it is there.
            private: only you see a repository that is made now.
            token: of the hub; the one that is stored on this machine if None.
            **card: as in `save_pretrained`, and `photos`.

        Raises:
            MissingExtraError: huggingface_hub is not installed.
            ModelError: the hub refuses, or cannot be reached.
        """
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder, source=name, **card)
            return upload_folder(Path(folder), name, private=private, token=token)

    def _grouped(self, values: Tensor, view: int) -> Tensor:
        """(B, N or N + 1, h, w) score of each id from (B, P, h, w) of each centroid."""
        if self._outputs is not None:
            return self._outputs.scores(values)
        return group_scores(values, self.network.view_centroids(view)[1])

    def at_size(self, size: int) -> Self:
        """The same model, that sees images with another short side; weights are shared.

        Args:
            size: in pixels, a multiple of 32.

        Raises:
            ConfigError: a size that cannot be.
        """
        check_size(size)
        config = self.config.model_copy(update={"size": size})
        return self._changed(self.network, config, self.class_names)

    def _changed(self, network: PiCIE, config: Config, class_names: ClassNames | None) -> Self:
        other = type(self)(network, config, precision=self._precision, class_names=class_names)
        other.run = self.run if network is self.network else None
        return other

    def _checked(self, size: int | None, tile: int, view: int) -> int:
        self.check_view(view)
        check_tile(tile)
        size = self.config.size if size is None else size
        check_size(size)
        return size

    def _predictions(
        self, images: Iterator[LoadedPhoto], batch_size: int, view: int, tile: int
    ) -> Iterator[Prediction]:
        def masks(batch: Sequence[LoadedPhoto]) -> list[Mask]:
            pixels = torch.stack([one.pixels for one in batch if one.pixels is not None])
            sizes = [one.image.shape[:2] for one in batch]
            return self._masks(pixels, sizes, view, tile)

        for one, mask in in_batches(images, batch_size, masks):
            yield Prediction(one.photo.name, one.photo.path, one.image, mask, one.problem)

    def _one(self, source: Any, view: int, size: int, tile: int) -> Mask:
        image = as_array(source)
        pixels = network_input(image, size)[None]
        return self._masks(pixels, [image.shape[:2]], view, tile)[0]

    def _masks(
        self, pixels: Tensor, sizes: Sequence[tuple[int, ...]], view: int, tile: int
    ) -> list[Mask]:
        """Masks of `sizes` from (B, 3, h, w) uint8."""

        def logits(part: Tensor) -> Tensor:
            return self.logits(self._fractions(part), view=view)

        if tile and max(pixels.shape[2:]) > tile:
            found: Any = (blended(logits, one, tile) for one in pixels)
        else:
            found = logits(pixels)
        return [self._mask(one, size) for one, size in zip(found, sizes, strict=True)]

    def _mask(self, logits: Tensor, size: tuple[int, ...]) -> Mask:
        mask = upsample(logits, size)
        if len(logits) > self.clusters:
            mask[mask >= self.clusters] = IGNORED
        return mask

    def _fractions(self, pixels: Tensor) -> Tensor:
        """(B, 3, h, w) float in [0, 1] on the device."""
        if self.device.type == "cuda":
            pixels = pixels.pin_memory()  # copied while the device still computes
        return pixels.to(self.device, non_blocking=True).float().div_(255)


def load(
    folder: str | Path, *, device: str = "", precision: Precision = "auto", named: bool = True
) -> Segmenter:
    """Read a trained model, and the names of its clusters if the folder has a `classes.toml`.

    Args:
        folder: the `--out` folder of a training run, or one written by `Segmenter.save`; or
            "user/name" or "hf://user/name" (with "@revision", if wanted), a model on the Hugging
            Face Hub, where there is no such folder.
        device: auto, cpu, cuda or mps; as in training if empty.
        precision: of the network's arithmetic, as in `Segmenter`.
        named: apply the names; else ids are cluster numbers.

    Raises:
        ModelError: missing, broken or newer files, or a hub that cannot be reached.
        MissingExtraError: huggingface_hub is not installed.
        ConfigError: an unknown device or precision, or names that do not fit the model.
    """
    folder = local_folder(folder)
    network, config = load_model(folder)
    if device:
        config = config.model_copy(update={"device": device})
    path = folder / CLASSES_FILE
    names = read_classes(path) if named and path.exists() else None
    model = Segmenter(network, config, precision=precision, class_names=names)
    model.run = folder
    return model


@overload
def predict(model: Segmenter | str | Path, source: Pixels) -> Mask: ...


@overload
def predict(model: Segmenter | str | Path, source: str | Path) -> Any: ...


def predict(model: Segmenter | str | Path, source: Pixels | str | Path) -> Any:
    """Ids of one image, or of a folder of them; see `Segmenter.predict`.

    Args:
        model: a trained model, or its folder.
        source: a path, PIL image, array, tensor or folder.
    """
    return loaded(model).predict(source)


def loaded(model: Segmenter | str | Path) -> Segmenter:
    """The model itself, or that of a folder, as `load` reads it."""
    return model if isinstance(model, Segmenter) else load(model)

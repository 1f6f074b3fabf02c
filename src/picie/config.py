"""The configuration: one frozen model, presets, and TOML input and output."""

import dataclasses
import difflib
import fnmatch
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, get_args, get_origin

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass

from picie.errors import ConfigError
from picie.runtime.documents import read_toml
from picie.runtime.printable import printable, shown
from picie.runtime.wording import in_words, suggest_value
from picie.version import EARLIER

__all__ = [
    "BACKBONES",
    "DEFAULT_BACKBONE",
    "FIRST",
    "GROUPS",
    "MACHINE",
    "MOST_CELLS",
    "MOST_CENTROIDS",
    "MOST_PIXELS",
    "MOST_SIDE",
    "OBJECTIVES",
    "PRESETS",
    "RETIRED",
    "TRACKERS",
    "Config",
    "MachineSettings",
    "Objective",
    "Reading",
    "Settings",
    "Similarity",
    "TrainSettings",
    "allowed",
    "check_cells",
    "check_setting",
    "check_together",
    "implied_settings",
    "lost_settings",
    "lost_text",
    "make_config",
    "read_config",
    "suggest",
    "translate_settings",
    "write_config",
]

# What the authors' code does at revision c3aa029, including quirks (see docs/explanation.md).
_REFERENCE: dict[str, Any] = {
    "epochs": 10,
    "batch_size": 128,
    "size": 320,
    "base_size": 640,
    "decoder_init": "random",
    "hue": 0.1,
    "grayscale": 0.0,  # never applied: registered under another spelling than the one tested
    "view_rule": "authors",
    "kmeans_init": "random",
    "kmeans_images": 5120,
    # The code clusters all pixels of about the first 5,120 images, 17 GB of features, and then
    # updates the centroids on the other images, which hardly changes them.
    "kmeans_pixels": 256,
    "kmeans_smoothing": 0,
    "overclusters": 0,
    "final_centroids": "trained",
    "similarity": "dot",
    "temperature": 1.0,
    "balance": "frequency",
    "learning_rate": 1e-4,
    "backbone_rate": 1.0,
    "batchnorm": "batch",
    "refine": 0,
}

# Where the paper differs from the code.
_PAPER: dict[str, Any] = _REFERENCE | {
    "grayscale": 0.2,
    "view_rule": "exact",
    "kmeans_init": "k-means++",
    "similarity": "cosine",
    "batchnorm": "training",
    "balance": "inverse",
}

# The best masks on few images: the training of `default`, and slower prediction.
_BEST: dict[str, Any] = {"predict_scales": (1.1,)}

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "best": _BEST,
    "reference": _REFERENCE,
    "paper": _PAPER,
}
"""Named settings: `default` (few images and a CPU), `best` (the best masks so far, slower to
predict), `reference` (the authors' code), `paper` (the paper's text)."""

OBJECTIVES: dict[str, dict[str, Any]] = {
    "frozen": {"epochs": 0, "overclusters": 0, "kmeans_smoothing": 0, "refine": 0},
    "mdc": {"final_centroids": "clean"},
    "mdc-prototypes": {"final_centroids": "clean"},
    "iic": {"unit_features": False, "final_centroids": "trained"},
}
"""Settings that an objective implies; they override the preset, and users override them."""

# From what others published; not measured with pretrained weights (docs/backbones.md). Layers and
# projection stay the usual ones.
BACKBONES: dict[str, dict[str, Any]] = {
    # timm's weights are set up for 518 px; 448 is the largest multiple of 32 and 14 below that.
    "vit_*patch14*dinov2*": {"size": 448, "base_size": 448},
    # The teacher's last training stage used 512 and 768 px, and the authors segment at 512 px.
    "vit_*patch16*dinov3*": {"size": 512, "base_size": 512},
}
"""Settings that a backbone implies, by a pattern of its timm name; they override the preset, and
users override them. Other networks suit the preset as it is, ConvNeXt among them."""

TRACKERS = ("tensorboard", "wandb")
"""Valid names in the setting `track`."""

MOST_SIDE = 8192
"""Largest side at which the network sees an image, in pixels."""

MOST_CENTROIDS = 8192
"""Most centroids P of a view."""

MOST_CELLS = 2**30
"""Most scores of one image: centroids times cells of the feature map at stride 4; 4 GiB."""

MOST_PIXELS = 2**28
"""Default of the most pixels of an image or a mask: 268 megapixels, 16384 x 16384."""

_TEXT = 4096  # longest text, in characters: that of a path
_LISTED = 64  # most entries of a list
_PROBLEMS = 5  # most problems in one message
_ALLOWED = "give what is allowed"  # in a message, the words of `allowed` take its place


def check_together(config: Any) -> None:
    """Refuse settings that contradict each other.

    Args:
        config: a `Config` whose fields are individually valid.

    Raises:
        ValueError: names the fields and what to set instead.
    """
    _check_ranges(config)
    _check_objective(config)
    unknown = [name for name in config.trackers if name not in TRACKERS]
    if unknown:
        raise ValueError(f"track {unknown[0]!r}: known: {', '.join(TRACKERS)}")


def _check_kind(value: Any, kind: Any) -> None:
    """Refuse values that would be converted in silence, and text that no file can hold."""
    if kind is bool:
        if not isinstance(value, bool):
            raise ValueError(_ALLOWED)
    elif isinstance(value, str):
        if kind in (int, float):
            raise ValueError(_ALLOWED)
        if "\0" in value or any("\ud800" <= one <= "\udfff" for one in value):
            raise ValueError("holds a null character or is not valid UTF-8; rename it")
    else:
        values = value if isinstance(value, list | tuple) else (value,)
        if any(isinstance(one, bool | str) for one in values):
            raise ValueError(_ALLOWED)


def _check_ranges(config: Any) -> None:
    check_cells(config.size, max(count for count, _ in config.levels))


def check_cells(size: int, count: int) -> None:
    """Refuse to compute scores that take more memory than a machine may have.

    Args:
        size: short side of an image at the network, in pixels.
        count: number of centroids or ids.

    Raises:
        ValueError: says what to lower.
    """
    if count * (size // 4) ** 2 > MOST_CELLS:
        raise ValueError(
            f"size {size} with {count} centroids or classes: the scores of one image take more "
            f"than {MOST_CELLS * 4 // 2**30} GiB; lower size, clusters or overclusters"
        )


def _check_objective(config: Any) -> None:
    if config.objective == "frozen" and config.epochs:
        raise ValueError("objective frozen trains nothing: set epochs to 0")
    if not config.unit_features and config.objective != "iic" and config.similarity == "cosine":
        raise ValueError(
            "cosine similarity divides features by their length: set similarity to l2 or dot, or "
            "leave unit_features on"
        )


Objective = Literal[
    "picie",
    "picie-h",
    "picie-within",
    "picie-parametric",
    "mdc",
    "mdc-prototypes",
    "iic",
    "frozen",
]
Similarity = Literal["cosine", "l2", "dot"]
DEFAULT_BACKBONE = "tf_efficientnet_lite0"
MACHINE = (
    *("device", "workers", "cache_mb", "cache_disk_mb", "cache_dir", "track", "track_images"),
)
"""Settings that a resumed run may change, because they do not affect the result."""


FIRST = ("clusters", "epochs", "size", "backbone", "seed", "device")
"""The most common settings, shown in the short help."""
GROUPS = {
    "images": ("split", "dataset", "eval_split", "base_size", "batch_size", "reading"),
    "network": (
        *("pretrained", "backbone_layers", "backbone_weights", "feature_size", "decoder_init"),
        *("precision", "compile"),
    ),
    "views": ("jitter", "hue", "grayscale", "blur", "crop_min", "flip", "view_rule"),
    "clustering": (
        *("kmeans_init", "kmeans_images", "kmeans_pixels", "kmeans_smoothing", "overclusters"),
        *("merge_rule", "final_centroids"),
    ),
    "objective": (
        *("objective", "auxiliary_clusters", "similarity", "unit_features", "temperature"),
        *("balance", "learning_rate", "backbone_rate", "batchnorm"),
    ),
    "prediction": ("predict_scales", "refine"),
    "machine": ("workers", "cache_mb", "cache_disk_mb", "cache_dir", "track", "track_images"),
}
"""All other settings by topic, for the long help and the docs."""


class MachineSettings(TypedDict, total=False):
    """The settings of `MACHINE`, for keyword arguments."""

    device: str | None
    workers: int | None
    cache_mb: int | None
    cache_disk_mb: int | None
    cache_dir: str | None
    track: str | None
    track_images: int | None


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Reading:
    """How images become (H, W, 3) bytes: one rule for all images of a run and of its model.

    Plain images of 8 bits are read as they are, whatever the rule says.
    """

    stretch: tuple[float, float] | None = None
    """Values that become black and white in images of any other type than 8 bits. If left out, they
    are chosen from a sample of the images."""
    bands: tuple[int, ...] = ()
    """Bands, counted from 1, that become red, green and blue, or one for grey; if left out, the
    first three, or the first if there are fewer. Separate them by spaces or commas."""
    pages: Literal["first", "all"] = "first"
    """Of files with several pages or frames: the first one, or each as an image of its own."""
    max_pixels: int = Field(default=MOST_PIXELS, ge=1, le=2_000_000_000)
    """Most pixels of an image or of a mask; larger files are refused before they are decoded."""

    @field_validator("stretch", "bands", "max_pixels", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        values = value if isinstance(value, list | tuple) else (value,)
        if any(isinstance(one, bool | str) for one in values):
            raise ValueError(_ALLOWED)
        return value

    @field_validator("stretch")
    @classmethod
    def _increasing(cls, stretch: tuple[float, float] | None) -> tuple[float, float] | None:
        if stretch is not None and not stretch[0] < stretch[1]:
            raise ValueError("give the value that becomes black, then a larger one for white")
        return stretch

    @field_validator("bands")
    @classmethod
    def _colours(cls, bands: tuple[int, ...]) -> tuple[int, ...]:
        if len(bands) not in (0, 1, 3) or not all(1 <= band <= 65_535 for band in bands):
            raise ValueError("give three bands (red, green, blue) or one, counted from 1")
        return bands


class TrainSettings(TypedDict, total=False):
    """The fields of `Config` as keyword arguments of `picie.train`, for editors and type checkers.

    `train` itself takes `data` and `split`. A test compares names and types with those of `Config`.
    """

    dataset: str
    eval_split: str
    clusters: int
    seed: int
    epochs: int
    batch_size: int
    size: int
    base_size: int
    reading: Reading | Mapping[str, Any]
    backbone: str
    pretrained: bool
    backbone_layers: Sequence[int]
    backbone_weights: str
    feature_size: int
    decoder_init: Literal["pca", "random"]
    jitter: float
    hue: float
    grayscale: float
    blur: float
    view_rule: Literal["exact", "authors"]
    crop_min: float
    flip: float
    kmeans_init: Literal["k-means++", "pca", "random"]
    kmeans_images: int
    kmeans_pixels: int
    kmeans_smoothing: int
    overclusters: int
    merge_rule: Literal["pixels", "distance"]
    final_centroids: Literal["clean", "trained"]
    objective: Objective
    auxiliary_clusters: int
    similarity: Similarity
    unit_features: bool
    predict_scales: Sequence[float]
    refine: int
    temperature: float
    balance: Literal["none", "frequency", "inverse"]
    learning_rate: float
    backbone_rate: float
    batchnorm: Literal["running", "training", "batch"]
    device: str
    precision: Literal["auto", "fp32", "bf16"]
    compile: bool
    workers: int
    cache_mb: int
    cache_disk_mb: int
    cache_dir: str
    track: str
    track_images: int


class Settings(TrainSettings, total=False):
    """All fields of `Config` as keyword arguments of `make_config`."""

    data: str
    split: str


class Config(BaseModel, frozen=True, extra="forbid", allow_inf_nan=False):
    """All settings of a run. `Config()` is the preset `default`."""

    # --- images
    data: str = Field(
        "", max_length=_TEXT, description="folder of images (the positional argument of `train`)"
    )
    split: str = Field(
        "",
        max_length=_TEXT,
        description="list file inside the folder, by stem: `train` reads train.txt, `train+val` "
        "joins two, `0001*` and `!0001*` choose by name; empty = all",
    )
    dataset: str = Field(
        "",
        max_length=_TEXT,
        description="known data set that the folder holds, so that --split takes its splits: "
        "ade20k150, camvid11, cityscapes19, cityscapes27, cocostuff15, cocostuff27, cocostuff171, "
        "msrc21, msrc23, potsdam3, potsdam6 or voc21; empty = any folder",
    )
    eval_split: str = Field(
        "",
        max_length=_TEXT,
        description="labelled split to score after every epoch, for curves only",
    )
    clusters: int = Field(27, ge=2, le=MOST_CENTROIDS // 2, description="number of clusters K")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of every random draw")
    epochs: int = Field(
        2, ge=0, le=1_000_000, description="passes over the images; 0 = cluster once, no training"
    )
    batch_size: int = Field(16, ge=2, le=65_536, description="images per training step")
    size: int = Field(
        320,
        ge=32,
        le=MOST_SIDE,
        multiple_of=32,
        description="side of both views and of prediction, in pixels",
    )
    base_size: int = Field(
        320,
        ge=32,
        le=MOST_SIDE,
        description="side of the square base crop that the views are cut from, in pixels",
    )
    reading: Reading = Field(
        Reading(),
        description="how deep, many-band, many-page and huge images are read: a table of stretch, "
        "bands, pages and max_pixels, each of which is a flag",
    )

    # --- network
    backbone: str = Field(
        DEFAULT_BACKBONE,
        max_length=_TEXT,
        description="any timm backbone, by name; DINOv2 and DINOv3 imply a size",
    )
    pretrained: bool = Field(
        True, description="start the backbone from pretrained weights; without them, at random"
    )
    backbone_layers: tuple[int, ...] = Field(
        (),
        max_length=_LISTED,
        description="blocks of a transformer, or stages of another backbone, whose maps are used; "
        "numbers from 0, or negative ones from the end; empty = the last block, or all stages",
    )
    backbone_weights: str = Field(
        "",
        max_length=_TEXT,
        description="file with weights of the backbone, .safetensors or .pth, in place of timm's; "
        "with or without --pretrained",
    )
    feature_size: int = Field(128, ge=2, le=4096, description="channels D of the feature map")
    decoder_init: Literal["pca", "random"] = Field(
        "pca", description="start of the pyramid's 1x1 convolutions: PCA of the backbone, or random"
    )

    # --- views: photometric
    jitter: float = Field(
        0.3, ge=0, lt=1, description="strength of brightness, contrast and saturation jitter"
    )
    hue: float = Field(0.0, ge=0, le=0.5, description="largest hue shift, in turns of the circle")
    grayscale: float = Field(0.0, ge=0, le=1, description="chance of grayscale per view")
    blur: float = Field(0.5, ge=0, le=1, description="chance of Gaussian blur per view")

    # --- views: geometric
    view_rule: Literal["exact", "authors"] = Field(
        "exact",
        description="exact: one crop for image and features, low-passed where it shrinks, blur "
        "with sigma from 0.1 to 2 pixels; authors: as their code does, with crops rounded at each "
        "scale, no low-pass and another law of sigma",
    )
    crop_min: float = Field(0.5, gt=0, le=1, description="smallest crop side, as a fraction")
    flip: float = Field(0.5, ge=0, le=1, description="chance of a horizontal flip")

    # --- clustering
    kmeans_init: Literal["k-means++", "pca", "random"] = Field(
        "k-means++", description="how the first centroids are chosen"
    )
    kmeans_images: int = Field(
        256, ge=1, le=10_000_000, description="images in the clustering sample"
    )
    kmeans_pixels: int = Field(
        400,
        ge=0,
        le=1_000_000,
        description="feature pixels taken from each of them; 0 = every pixel",
    )
    kmeans_smoothing: int = Field(
        3,
        ge=0,
        le=1000,
        description="iterations that smooth features over neighbours of similar colour before they "
        "are clustered; 0 = none",
    )

    overclusters: int = Field(
        64,
        ge=0,
        le=MOST_CENTROIDS,
        description="centroids that k-means finds, to be merged to K (merge_rule); raised to "
        "twice K where that is more; 0 = find K centroids directly",
    )
    merge_rule: Literal["pixels", "distance"] = Field(
        "pixels",
        description="merge centroids by distance, shared pixels and boundary contrast, or by "
        "distance alone",
    )
    final_centroids: Literal["clean", "trained"] = Field(
        "clean",
        description="centroids of the model: a last clustering of un-augmented images, or those "
        "that the last epoch was trained with",
    )

    # --- objective
    objective: Objective = Field(
        "picie",
        description="what training minimises: PiCIE; with an auxiliary over-clustering (picie-h), "
        "without the cross-view loss (picie-within) or with a learnt classifier "
        "(picie-parametric); modified DeepCluster with a learnt classifier (mdc) or prototypes "
        "(mdc-prototypes); mutual information (iic); or nothing: k-means on frozen features "
        "(frozen)",
    )
    auxiliary_clusters: int = Field(
        100,
        ge=2,
        le=MOST_CENTROIDS,
        description="clusters K2 of the second head of picie-h and iic",
    )
    similarity: Similarity = Field(
        "cosine",
        description="how features and centroids are compared: cosine everywhere, with spherical "
        "k-means; l2 everywhere; or dot, the authors' code: Euclidean k-means, labels by L2, "
        "logits and masks by dot products",
    )
    unit_features: bool = Field(
        True, description="features are divided by their length before anything compares them"
    )
    predict_scales: tuple[float, ...] = Field(
        (1.0,),
        max_length=16,
        description="sizes at which prediction sees an image, as factors of --size; their logits "
        "are averaged",
    )
    refine: int = Field(
        10,
        ge=0,
        le=1000,
        description="iterations of boundary refinement at prediction, which aligns masks with "
        "edges of the image; 0 = none",
    )
    temperature: float = Field(0.1, gt=0, le=1e6, description="temperature of the cross-entropy")
    balance: Literal["none", "frequency", "inverse"] = Field(
        "none",
        description="weight of a cluster in the loss: none, its frequency (authors' code), or the "
        "inverse (the paper)",
    )

    # --- optimiser
    learning_rate: float = Field(1e-4, gt=0, le=1000, description="Adam's constant learning rate")
    backbone_rate: float = Field(
        0.0, ge=0, le=1e6, description="learning rate of the backbone, as a factor; 0 = frozen"
    )
    batchnorm: Literal["running", "training", "batch"] = Field(
        "running",
        description="where BatchNorm uses the statistics of the batch: nowhere, while training, or "
        "while clustering too (authors' code)",
    )

    # --- machine; on one device only the precision changes the result
    device: str = Field("auto", max_length=_TEXT, description="auto, cpu, cuda or mps")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="of the network: bf16 on GPUs made for it, fp32 elsewhere; clustering and "
        "losses are always fp32",
    )
    compile: bool = Field(
        False, description="compile the network with torch.compile; needs a C++ compiler"
    )
    workers: int = Field(
        -1,
        ge=-1,
        le=1024,
        description="threads that read images ahead; 0 = none, -1 = from the cores",
    )
    cache_mb: int = Field(
        256,
        ge=0,
        le=10_000_000,
        description="memory for decoded images, in MB; larger sets go to a file",
    )
    cache_disk_mb: int = Field(
        20000,
        ge=0,
        le=1_000_000_000,
        description="size of that file, in MB, at most half of the free space; images beyond it "
        "are read again in every pass; 0 = no file",
    )
    cache_dir: str = Field(
        "",
        max_length=_TEXT,
        description="folder of that file, which goes with the run; empty = in the run folder",
    )
    track: str = Field(
        "",
        max_length=_TEXT,
        description="trackers that receive losses, scores, settings and images of masks: "
        "tensorboard, wandb (sent to its server), or both, separated by a comma; empty = none",
    )
    track_images: int = Field(
        1,
        ge=0,
        le=1_000_000,
        description="epochs from one image of masks in the trackers to the next; 0 = send none",
    )

    @property
    def num_centroids(self) -> int:
        """Number of centroids of k-means: K, or the over-clusters that are merged to K."""
        return max(self.overclusters, 2 * self.clusters) if self.overclusters else self.clusters

    @property
    def levels(self) -> list[tuple[int, int]]:
        """(centroids, clusters) of each clustering: the main one, and that of picie-h."""
        main = [(self.num_centroids, self.clusters)]
        return main + [(self.auxiliary_clusters,) * 2] * (self.objective == "picie-h")

    @property
    def views(self) -> tuple[int, ...]:
        """Numbers of the views that are clustered and trained on."""
        return (0,) if self.objective.startswith("mdc") else (0, 1)

    @property
    def sample_batch_size(self) -> int:
        """Images per batch in the passes without gradients."""
        return 2 * self.batch_size

    @property
    def learns_classifier(self) -> bool:
        """Whether the classifier has learnt weights instead of prototypes."""
        return self.objective in ("mdc", "picie-parametric", "iic")

    @property
    def spherical(self) -> bool:
        """Whether k-means is spherical instead of Euclidean."""
        return self.similarity == "cosine"

    @property
    def label_rule(self) -> Similarity:
        """The similarity by which pixels get pseudo-labels."""
        return "cosine" if self.spherical else "l2"

    @property
    def predict_rule(self) -> Similarity:
        """The similarity by which masks are predicted; always dot for a learnt classifier."""
        keeps_trained = self.final_centroids == "trained" and self.epochs > 0
        learnt = self.objective == "iic" or (self.learns_classifier and keeps_trained)
        return "dot" if learnt else self.similarity

    @property
    def trackers(self) -> tuple[str, ...]:
        """The names in `track`, each once."""
        return tuple(dict.fromkeys(self.track.replace(",", " ").split()))

    @property
    def post_processing(self) -> str:
        """The post-processing at prediction as text, or "none"."""
        scales = " ".join(f"{scale:g}" for scale in self.predict_scales)
        seen = "scale" if len(self.predict_scales) == 1 else "mean of scales"
        parts = [f"{seen} {scales}"] * (self.predict_scales != (1.0,))
        parts += [f"{self.refine} iterations of boundary refinement"] * (self.refine > 0)
        return ", ".join(parts) or "none"

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: Any, info: ValidationInfo) -> Any:
        _check_kind(value, cls.model_fields[str(info.field_name)].annotation)
        return value

    @field_validator("predict_scales")
    @classmethod
    def _factors(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        if not scales or not all(0.25 <= scale <= 4 for scale in scales):
            raise ValueError(_ALLOWED)
        return scales

    @model_validator(mode="after")
    def _together(self) -> "Config":
        check_together(self)
        return self


def make_config(preset: str = "default", **settings: Unpack[Settings]) -> Config:
    """A preset with some settings changed.

    An objective and a backbone may imply further settings (`OBJECTIVES`, `BACKBONES`), which those
    given here override.

    Args:
        preset: a key of `PRESETS`.
        **settings: fields of `Config`.

    Raises:
        ConfigError: an unknown preset or field (with a suggestion), or a bad value.

    Example:
        >>> make_config("reference", clusters=11).balance
        'frequency'
    """
    _check_preset(preset)
    return _build({**_defaults(preset, settings), **settings}, where="settings")


def implied_settings(backbone: Any) -> dict[str, Any]:
    """The settings that a backbone implies (`BACKBONES`).

    Args:
        backbone: its timm name; what is not text implies nothing, and is refused elsewhere.

    Returns:
        Fields of `Config`; empty for most networks.

    Example:
        >>> implied_settings("vit_small_patch14_dinov2.lvd142m")
        {'size': 448, 'base_size': 448}
    """
    named = backbone if isinstance(backbone, str) else ""
    return next((one for key, one in BACKBONES.items() if fnmatch.fnmatchcase(named, key)), {})


def read_config(path: Path, **settings: Any) -> Config:
    """Read a `config.toml`.

    Args:
        path: the file.
        **settings: fields of `Config` that override those of the file.

    Raises:
        ConfigError: missing or huge file, broken TOML, unknown key or bad value.

    Warns:
        FutureWarning: one line on settings of an earlier version.
    """
    values = translate_settings(read_toml(path), path) | settings
    preset = values.pop("preset", "default")
    _check_preset(preset, f"{path}: ")
    return _build(_defaults(preset, values) | values, where=str(path))


def write_config(config: Config, path: Path) -> None:
    """Write every field, so that the file stays complete even if presets change later."""
    # TOML has no word for nothing; what is left out is read as the default.
    path.write_text(tomli_w.dumps(config.model_dump(exclude_none=True)), encoding="utf-8")


def _check_preset(preset: Any, where: str = "") -> None:
    if not isinstance(preset, str) or preset not in PRESETS:
        hint = suggest(preset if isinstance(preset, str) else "", list(PRESETS))
        raise ConfigError(f"{where}unknown preset {shown(preset)}; {hint}")


def _defaults(preset: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    implied = implied_settings(settings.get("backbone"))
    return PRESETS[preset] | _entry(OBJECTIVES, settings.get("objective")) | implied


def _entry(table: dict[str, dict[str, Any]], key: Any) -> dict[str, Any]:
    """The entry of a key from a file, which may have any type."""
    return table.get(key, {}) if isinstance(key, str) else {}


def _build(values: dict[str, Any], *, where: str) -> Config:
    try:
        return Config(**values)
    except ValidationError as error:
        items = error.errors(include_url=False)
        more = f"; and {len(items) - _PROBLEMS} more" * (len(items) > _PROBLEMS)
        problems = "; ".join(_problem(item) for item in items[:_PROBLEMS])
        raise ConfigError(f"{where}: {problems}{more}") from None


def _problem(item: Any) -> str:
    name = printable(".".join(str(part) for part in item["loc"]))
    if item["type"] == "extra_forbidden":
        if name in RETIRED:
            return f"{name!r} is no longer a setting; {RETIRED[name]}"
        return f"unknown setting {shown(name)}; {suggest(name, list(Config.model_fields))}"
    if item["type"] == "unexpected_keyword_argument":
        known = [f"reading.{field.name}" for field in dataclasses.fields(Reading)]
        return f"unknown setting {shown(name)}; {suggest(name, known)}"
    message = item["msg"].removeprefix("Value error, ")
    setting = _setting(item["loc"])
    if setting and (item["type"] != "value_error" or message == _ALLOWED):
        return f"{setting} = {shown(item['input'])}: {_instead(setting, item['input'])}"
    return f"{name} = {shown(item['input'])}: {message}" if name else message


def _setting(place: Sequence[int | str]) -> str:
    """The setting that a place of pydantic lies in, or "" if it is of no setting alone."""
    names = [part for part in place if isinstance(part, str)]
    return ".".join(names[: 2 if names[:1] == ["reading"] else 1])


def _instead(setting: str, given: Any) -> str:
    """What to give instead of a value."""
    kind = _field(setting).annotation
    if get_origin(kind) is Literal:
        return suggest_value(given, get_args(kind))
    parts = given if isinstance(given, list | tuple) else (given,)
    quoted = kind not in (str, Reading) and any(isinstance(part, str) for part in parts)
    return f"give {allowed(setting)}" + ", without quotes" * quoted


_OWN_WORDS = {
    "predict_scales": "one to 16 numbers from 0.25 to 4",
    "reading": "a table with stretch, bands, pages, max_pixels",
    "reading.bands": "three bands (red, green, blue) or one, counted from 1",
    "reading.stretch": "two finite numbers, the smaller one first",
}


def allowed(name: str) -> str:
    """What values a setting takes, in words.

    Args:
        name: a field of `Config`, or one of `Reading` such as "reading.bands".

    Example:
        >>> allowed("clusters")
        'a whole number from 2 to 4096'
    """
    if name in _OWN_WORDS:
        return _OWN_WORDS[name]
    field = _field(name)
    names = ("ge", "gt", "le", "lt", "multiple_of", "max_length")
    found = ((key, getattr(one, key, None)) for one in field.metadata for key in names)
    return in_words(field.annotation, {key: value for key, value in found if value is not None})


def _field(name: str) -> Any:
    first, _, second = name.partition(".")
    fields: Any = Reading
    return fields.__pydantic_fields__[second] if second else Config.model_fields[first]


def check_setting(name: str, value: Any) -> None:
    """Refuse a value that a setting can never have, whatever the others are.

    Args:
        name: a field of `Config`, or one of `Reading` such as "reading.bands".
        value: for it.

    Raises:
        ConfigError: says which values are allowed, without name and value.
    """
    first, _, second = name.partition(".")
    values: dict[str, Any] = {first: {second: value} if second else value}
    try:
        Config(**values)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            if item["loc"]:  # else it is about several settings
                raise ConfigError(_problem(item).partition(": ")[2]) from None


_FIXED: dict[str, Any] = {
    "blur_max": 2.0,
    "blur_min": 0.1,
    "colour_rule": "stepwise",
    "crop_max": 1.0,
    "displacement": 1,
    "jitter_chance": 0.8,
    "kmeans_iterations": 20,
    "kmeans_scales": [1.0],
    "kmeans_update": False,
    "mse_weight": 0.0,
}
"""Settings of earlier versions, and their fixed value today."""
RETIRED = {
    **{name: f"it is always {value!r}" for name, value in _FIXED.items()},
    **dict.fromkeys(("brightness", "contrast", "saturation"), "use jitter for all three"),
    **dict.fromkeys(("blur_rule", "crop_rule", "crop_antialias"), "use view_rule"),
    **dict.fromkeys(
        ("label_rule", "logit_rule", "predict_rule", "kmeans_metric"), "use similarity"
    ),
    "kmeans_batchnorm": "use batchnorm",
    "classifier": "use the objectives picie-parametric, mdc and mdc-prototypes",
    "cross_view": "use the objective picie-within",
    "pca_origin": "it follows from the objective",
    "eval_size": "curves are scored at size",
    "kmeans_batch_size": "it is twice batch_size",
}
"""Settings of earlier versions, and their replacements."""


def translate_settings(values: dict[str, Any], origin: Path) -> dict[str, Any]:
    """Translate settings of an earlier version; current ones are unchanged.

    Args:
        values: settings by name, possibly of picie 0.1.
        origin: their file, for the warning.

    Returns:
        fields of `Config` with which a finished model predicts the same masks.

    Warns:
        FutureWarning: one line on settings that no longer exist, and on values that training no
            longer offers.
    """
    old = [name for name in values if name in RETIRED]
    if not old:
        return values
    new, lost = _translated(values)
    shown = ", ".join(sorted(old)[:3]) + f" and {len(old) - 3} more" * (len(old) > 3)
    text = f"{origin}: {EARLIER}; these settings no longer exist: {shown}"
    if lost:
        text += f"; training no longer offers {lost_text(lost)}"
    warnings.warn(f"{text}; a finished model gives the same masks", FutureWarning, stacklevel=2)
    return new


def lost_settings(path: Path) -> dict[str, Any]:
    """Settings of a config.toml of an earlier version that training no longer offers.

    Args:
        path: a config.toml that `read_config` can read.
    """
    return _translated(read_toml(path))[1]


def lost_text(lost: dict[str, Any]) -> str:
    """Settings and their values in one line."""
    return ", ".join(f"{name} = {shown(value)}" for name, value in sorted(lost.items()))


_DEFAULTS_EARLIER: dict[str, Any] = {
    "final_centroids": "clean",
    "epochs": 2,
    "hue": 0.0,
    "brightness": 0.3,
    "contrast": 0.3,
    "saturation": 0.3,
    "jitter_chance": 0.8,
    "blur_rule": "uniform",
    "crop_rule": "aligned",
    "crop_antialias": True,
    "batchnorm": "running",
    "kmeans_batchnorm": "running",
    "kmeans_metric": "spherical",
    "label_rule": "cosine",
    "logit_rule": "cosine",
    "predict_rule": "cosine",
    "unit_features": True,
    "objective": "picie",
    "classifier": "prototype",
    "cross_view": True,
}
"""Defaults of earlier versions, as far as the translation needs them."""
_PAPER_EARLIER = {"final_centroids": "trained", "hue": 0.1, "batchnorm": "batch"}
_REFERENCE_EARLIER = _PAPER_EARLIER | {
    "blur_rule": "authors",
    "crop_rule": "rounded",
    "crop_antialias": False,
    "kmeans_batchnorm": "batch",
    "kmeans_metric": "euclidean",
    "label_rule": "l2",
    "logit_rule": "dot",
    "predict_rule": "dot",
}
_PRESETS_EARLIER = {"reference": _REFERENCE_EARLIER, "paper": _PAPER_EARLIER}
_OBJECTIVES_EARLIER: dict[str, dict[str, Any]] = {
    "frozen": {"epochs": 0, "pca_origin": "mean"},
    "mdc": {"classifier": "parametric", "final_centroids": "clean"},
    "iic": {"unit_features": False, "predict_rule": "dot", "final_centroids": "trained"},
}


def _translated(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Current settings, and old settings whose value has no equivalent today."""
    new = {name: value for name, value in values.items() if name not in RETIRED}
    if values.get("preset", "default") == "default":
        new.setdefault("refine", 0)  # the default of that time
    lost = {name: values[name] for name, now in _FIXED.items() if values.get(name, now) != now}
    old = (
        _DEFAULTS_EARLIER
        | _entry(_PRESETS_EARLIER, values.get("preset"))
        | _entry(_OBJECTIVES_EARLIER, values.get("objective"))
    )
    old |= values
    for names, fold in _FOLDS:
        if names & values.keys():
            lost |= fold(old, new)
    if new.get("jitter") == 0 and new.get("hue", old["hue"]) == 0:
        lost.pop("jitter_chance", None)
    return new, lost


def _fold_jitter(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    if old["jitter_chance"] == 0:
        new |= {"jitter": 0.0, "hue": 0.0}
        return {}
    new.setdefault("jitter", old["brightness"])
    names = ("brightness", "contrast", "saturation")
    return {name: old[name] for name in names if old[name] != new["jitter"]}


def _fold_views(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    exact = {"blur_rule": "uniform", "crop_rule": "aligned", "crop_antialias": True}
    authors = {"blur_rule": "authors", "crop_rule": "rounded", "crop_antialias": False}
    new.setdefault("view_rule", "authors" if old["crop_rule"] == "rounded" else "exact")
    wanted = authors if new["view_rule"] == "authors" else exact
    return {name: old[name] for name, value in wanted.items() if old[name] != value}


def _fold_batchnorm(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    training = old["batchnorm"]
    if old["kmeans_batchnorm"] == "batch":
        new["batchnorm"] = "batch"
        return {"batchnorm": training} if training != "batch" else {}
    new["batchnorm"] = "training" if training == "batch" else training
    return {}


def _fold_objective(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    objective, learnt = old["objective"], old["classifier"] == "parametric"
    lost: dict[str, Any] = {}
    if objective == "mdc" and not learnt:
        new["objective"] = "mdc-prototypes"
    elif objective == "picie" and learnt:
        new["objective"] = "picie-parametric"
    elif objective == "picie" and not old["cross_view"]:
        new["objective"] = "picie-within"
    elif objective == "picie-h" and learnt:
        lost["classifier"] = "parametric"
    if not old["cross_view"] and (objective == "picie-h" or (objective == "picie" and learnt)):
        lost["cross_view"] = False
    origin = "mean" if objective == "frozen" else "balanced"
    if old.get("pca_origin", origin) != origin:
        lost["pca_origin"] = old["pca_origin"]
    return lost


def _fold_similarity(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Use the rule of prediction, or that of labels if masks come from a learnt classifier."""
    label, predict = old["label_rule"], old["predict_rule"]
    objective, lost = new.get("objective", old["objective"]), {}
    keeps_trained = old["final_centroids"] == "trained" and old["epochs"] != 0
    if objective == "iic" and predict != "dot":  # masks came from a clustering, not from the head
        new["objective"], lost["objective"] = "picie", objective
    learnt = objective in ("mdc", "picie-parametric", "iic")
    dot = predict == "dot" and (objective == "iic" or (learnt and keeps_trained))
    lengths = not old["unit_features"] and objective != "iic"  # only dot depends on lengths
    by_label = "cosine" if label == "cosine" and not lengths else "dot"
    new.setdefault("similarity", by_label if dot else predict)
    cosine = new["similarity"] == "cosine"
    wanted = {"label_rule": "cosine" if cosine else "l2"}
    wanted["kmeans_metric"] = "spherical" if cosine else "euclidean"
    if not learnt:  # the loss of a learnt classifier has no rule
        wanted["logit_rule"] = new["similarity"]
    if cosine and not old["unit_features"] and new.get("objective", objective) != "iic":
        new["unit_features"] = True  # cosine does not depend on lengths
        lost["unit_features"] = False
    return lost | {name: old[name] for name, now in wanted.items() if old[name] != now}


_FOLDS = (
    ({"brightness", "contrast", "saturation", "jitter_chance"}, _fold_jitter),
    ({"blur_rule", "crop_rule", "crop_antialias"}, _fold_views),
    ({"kmeans_batchnorm"}, _fold_batchnorm),
    ({"classifier", "cross_view", "pca_origin"}, _fold_objective),
    ({"label_rule", "logit_rule", "predict_rule", "kmeans_metric"}, _fold_similarity),
)
"""Groups of old settings, and the function that folds each into current ones, in this order."""


def suggest(name: str, known: list[str]) -> str:
    """A hint for an unknown name: the nearest known one, or all of them."""
    near = difflib.get_close_matches(name[:100], known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"

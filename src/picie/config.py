"""The only configuration: one frozen model, and TOML in and out.

Flags of the command line, keys of `config.toml`, the reference table in the docs and all range
checks come from the fields of `Config`. A preset is a set of values for these fields (presets.py).
"""

import difflib
import tomllib
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, Field, ValidationError, model_validator

from picie.errors import ConfigError
from picie.presets import PRESETS

__all__ = ["MACHINE", "Config", "make_config", "read_config", "suggest", "write_config"]

DEFAULT_BACKBONE = "tf_efficientnet_lite0"
MACHINE = ("device", "workers", "cache_mb", "cache_disk_mb", "cache_dir")
"""Settings that a resumed run may change: they say where and how it runs, not what comes out."""


class Config(BaseModel, frozen=True, extra="forbid"):
    """All settings of a run. `Config()` is the preset `default`."""

    # --- what to learn from
    data: str = Field("", description="folder of pictures (the positional argument of `train`)")
    split: str = Field(
        "", description="list file inside the folder, by stem: `train` reads train.txt; empty = all"
    )
    dataset: str = Field(
        "",
        description="known data set that the folder holds, so that --split takes its splits: "
        "ade20k150, camvid11, cityscapes19, cityscapes27, cocostuff15, cocostuff27, cocostuff171, "
        "msrc21, msrc23, potsdam3, potsdam6 or voc21; empty = any folder",
    )
    eval_split: str = Field(
        "",
        description="labelled split to score after every epoch, for curves only",
    )
    eval_size: int = Field(
        320, ge=32, multiple_of=32, description="side of the pictures in that scoring, in pixels"
    )
    clusters: int = Field(27, ge=2, le=65535, description="number of clusters K")
    seed: int = Field(0, ge=0, description="seed of every random draw")
    epochs: int = Field(
        2, ge=0, description="passes over the pictures; 0 = cluster once, no training"
    )
    batch_size: int = Field(16, ge=2, description="pictures per training step")
    size: int = Field(
        320, ge=32, multiple_of=32, description="side of both views and of prediction, in pixels"
    )
    base_size: int = Field(
        320,
        ge=32,
        description="side of the square base crop that the views are cut from, in pixels",
    )

    # --- network
    backbone: str = Field(DEFAULT_BACKBONE, description="any timm backbone, by name")
    pretrained: bool = Field(
        True, description="start the backbone from pretrained weights; without them, at random"
    )
    feature_size: int = Field(128, ge=2, description="channels D of the feature map")
    decoder_init: Literal["pca", "random"] = Field(
        "pca", description="start of the pyramid's 1x1 convolutions: PCA of the backbone, or random"
    )

    # --- views: photometric
    brightness: float = Field(0.3, ge=0, lt=1, description="strength of brightness jitter")
    contrast: float = Field(0.3, ge=0, lt=1, description="strength of contrast jitter")
    saturation: float = Field(0.3, ge=0, lt=1, description="strength of saturation jitter")
    hue: float = Field(0.1, ge=0, le=0.5, description="largest hue shift, in turns of the circle")
    jitter_chance: float = Field(0.8, ge=0, le=1, description="chance of each of the four jitters")
    grayscale: float = Field(0.2, ge=0, le=1, description="chance of grayscale per view")
    blur: float = Field(0.5, ge=0, le=1, description="chance of Gaussian blur per view")
    blur_min: float = Field(0.1, ge=0, description="smallest sigma, in pixels of the base crop")
    blur_max: float = Field(2.0, ge=0, description="largest sigma, in pixels of the base crop")
    blur_rule: Literal["uniform", "authors"] = Field(
        "uniform", description="sigma from U(min, max), or the authors' effective |U(-1.8, 0.1)|"
    )
    colour_rule: Literal["stepwise", "affine"] = Field(
        "stepwise",
        description="the four jitters and grayscale one after the other, clipped after each, with "
        "the hue of HSV, or as one affine map of the colours with the hue of YIQ (faster)",
    )

    # --- views: geometric
    crop_min: float = Field(0.5, gt=0, le=1, description="smallest crop side, as a fraction")
    crop_max: float = Field(1.0, gt=0, le=1, description="largest crop side, as a fraction")
    flip: float = Field(0.5, ge=0, le=1, description="chance of a horizontal flip")
    crop_rule: Literal["aligned", "rounded"] = Field(
        "aligned",
        description="the same crop for picture and features, or one rounded at each scale "
        "(authors' code)",
    )
    crop_antialias: bool = Field(True, description="low-pass view 1 where its crop is shrunk")

    # --- clustering
    kmeans_metric: Literal["spherical", "euclidean"] = Field(
        "spherical", description="unit centroids and cosine, or plain means and L2 (authors' code)"
    )
    kmeans_init: Literal["k-means++", "pca", "random"] = Field(
        "k-means++", description="how the first centroids are chosen"
    )
    kmeans_iterations: int = Field(20, ge=1, description="most iterations over the sample")
    kmeans_images: int = Field(256, ge=1, description="pictures in the clustering sample")
    kmeans_pixels: int = Field(
        400, ge=0, description="feature pixels taken from each of them; 0 = every pixel"
    )
    kmeans_update: bool = Field(
        False, description="then move the centroids by mini-batches over all other pictures"
    )
    kmeans_batchnorm: Literal["running", "batch"] = Field(
        "running", description="BatchNorm statistics while features are clustered"
    )
    kmeans_batch_size: int = Field(
        0, ge=0, description="pictures per clustering batch; 0 = twice --batch-size"
    )

    overclusters: int = Field(
        64,
        ge=0,
        le=65535,
        description="centroids that k-means finds, to be merged to K by average linkage; raised to "
        "twice K where that is more; 0 = find K centroids directly",
    )
    final_centroids: Literal["clean", "trained"] = Field(
        "clean",
        description="centroids of the model: a last clustering of un-augmented pictures, or those "
        "that the last epoch was trained with",
    )

    # --- objective
    label_rule: Literal["cosine", "l2", "dot"] = Field(
        "cosine", description="how a pixel chooses its pseudo-label"
    )
    logit_rule: Literal["cosine", "dot"] = Field(
        "cosine", description="similarity inside the cross-entropy"
    )
    predict_rule: Literal["cosine", "l2", "dot"] = Field(
        "cosine", description="similarity used by prediction and evaluation"
    )
    temperature: float = Field(0.1, gt=0, description="temperature of the cross-entropy")
    balance: Literal["none", "frequency", "inverse"] = Field(
        "none",
        description="weight of a cluster in the loss: none, its frequency (authors' code), or the "
        "inverse (the paper's words)",
    )

    # --- optimiser
    learning_rate: float = Field(1e-4, gt=0, description="Adam's constant learning rate")
    backbone_rate: float = Field(
        0.0, ge=0, description="learning rate of the backbone, as a factor; 0 = frozen"
    )
    batchnorm: Literal["running", "batch"] = Field(
        "running", description="BatchNorm statistics while training"
    )

    # --- machine; on one device only the precision changes the result
    device: str = Field("auto", description="auto, cpu, cuda or mps")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="of the network: bf16 on GPUs made for it, fp32 elsewhere; clustering and "
        "losses are always fp32",
    )
    compile: bool = Field(
        False, description="compile the network with torch.compile; needs a C++ compiler"
    )
    workers: int = Field(
        -1, ge=-1, description="threads that read pictures ahead; 0 = none, -1 = from the cores"
    )
    cache_mb: int = Field(
        256, ge=0, description="memory for decoded pictures, in MB; larger sets go to a file"
    )
    cache_disk_mb: int = Field(
        20000,
        ge=0,
        description="size of that file, in MB, at most half of the free space; pictures beyond it "
        "are read again in every pass; 0 = no file",
    )
    cache_dir: str = Field(
        "", description="folder of that file, which goes with the run; empty = in the run folder"
    )

    @property
    def num_centroids(self) -> int:
        """Centroids that k-means looks for: K, or the over-clusters that are merged to K."""
        return max(self.overclusters, 2 * self.clusters) if self.overclusters else self.clusters

    @property
    def sample_batch_size(self) -> int:
        """Pictures per batch in the passes without gradients."""
        return self.kmeans_batch_size or 2 * self.batch_size

    @model_validator(mode="after")
    def _ranges(self) -> "Config":
        if self.crop_min > self.crop_max:
            raise ValueError("crop_min is larger than crop_max")
        if self.blur_min > self.blur_max:
            raise ValueError("blur_min is larger than blur_max")
        return self


def make_config(preset: str = "default", **settings: Any) -> Config:
    """A preset with some settings changed.

    Args:
        preset: a key of `PRESETS`.
        **settings: fields of `Config`.

    Raises:
        ConfigError: unknown preset or field (the nearest name is proposed), or a bad value.

    Example:
        >>> make_config("reference", clusters=11).balance
        'frequency'
    """
    if preset not in PRESETS:
        raise ConfigError(f"unknown preset {preset!r}; {suggest(preset, list(PRESETS))}")
    return _build(PRESETS[preset] | settings, where="settings")


def read_config(path: Path) -> Config:
    """Read a `config.toml`.

    Raises:
        ConfigError: missing file, broken TOML, unknown key or bad value.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML ({error}); correct it") from None
    preset = values.pop("preset", "default")
    if not isinstance(preset, str) or preset not in PRESETS:
        hint = suggest(str(preset), list(PRESETS))
        raise ConfigError(f"{path}: unknown preset {preset!r}; {hint}")
    return _build(PRESETS[preset] | values, where=str(path))


def write_config(config: Config, path: Path) -> None:
    """Write every field, so that the run is described whole even when presets change later."""
    path.write_text(tomli_w.dumps(config.model_dump()), encoding="utf-8")


def _build(values: dict[str, Any], *, where: str) -> Config:
    try:
        return Config(**values)
    except ValidationError as error:
        problems = [_problem(item) for item in error.errors(include_url=False)]
        raise ConfigError(f"{where}: " + "; ".join(problems)) from None


def _problem(item: Any) -> str:
    name = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"unknown setting {name!r}; {suggest(name, list(Config.model_fields))}"
    message = item["msg"].removeprefix("Value error, ")
    return f"{name} = {item['input']!r}: {message}" if name else message


def suggest(name: str, known: list[str]) -> str:
    """What to say about an unknown name: the nearest known one, or all of them."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"

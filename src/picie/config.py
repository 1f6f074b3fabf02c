"""The only configuration: one frozen model, made from presets, and TOML in and out."""

import difflib
import tomllib
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, Field, ValidationError, model_validator

from picie.errors import ConfigError

__all__ = [
    "DEFAULT_BACKBONE",
    "MACHINE",
    "OBJECTIVES",
    "PRESETS",
    "TRACKERS",
    "Config",
    "Objective",
    "check_together",
    "make_config",
    "read_config",
    "suggest",
    "write_config",
]

# What the authors' code does at revision c3aa029, quirks included (method: docs/explanation.md).
_REFERENCE: dict[str, Any] = {
    "epochs": 10,
    "batch_size": 128,
    "size": 320,
    "base_size": 640,
    "decoder_init": "random",
    "hue": 0.1,
    "grayscale": 0.0,  # registered under another spelling than the one tested: never applied
    "blur_rule": "authors",
    "crop_rule": "rounded",
    "crop_antialias": False,
    "kmeans_metric": "euclidean",
    "kmeans_init": "random",
    "kmeans_iterations": 20,
    "kmeans_images": 5120,
    # The code clusters all pixels of the first 5,120 pictures or so, 17 GB of features, and then
    # moves the centroids over the other pictures, by next to nothing.
    "kmeans_pixels": 256,
    "kmeans_smoothing": 0,
    "kmeans_update": False,
    "kmeans_batchnorm": "batch",
    "overclusters": 0,
    "final_centroids": "trained",
    "label_rule": "l2",
    "logit_rule": "dot",
    "predict_rule": "dot",
    "temperature": 1.0,
    "balance": "frequency",
    "learning_rate": 1e-4,
    "backbone_rate": 1.0,
    "batchnorm": "batch",
}

# What the paper says where it differs from the code.
_PAPER: dict[str, Any] = _REFERENCE | {
    "grayscale": 0.2,
    "blur_rule": "uniform",
    "crop_rule": "aligned",
    "crop_antialias": True,
    "kmeans_metric": "spherical",
    "kmeans_init": "k-means++",
    "kmeans_batchnorm": "running",
    "label_rule": "cosine",
    "logit_rule": "cosine",
    "predict_rule": "cosine",
    "balance": "inverse",
}

# What gave the best masks of few pictures: longer training, and time spent on prediction.
_BEST: dict[str, Any] = {"epochs": 4, "predict_scales": (1.0, 1.5), "refine": 10}

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "best": _BEST,
    "reference": _REFERENCE,
    "paper": _PAPER,
}
"""Named settings: `default` (few pictures and a CPU), `best` (the best masks so far, slower to
predict), `reference` (the authors' code), `paper` (the paper's text)."""

OBJECTIVES: dict[str, dict[str, Any]] = {
    "frozen": {"epochs": 0, "overclusters": 0, "pca_origin": "mean", "kmeans_smoothing": 0},
    "mdc": {"classifier": "parametric", "final_centroids": "clean"},
    "iic": {"unit_features": False, "predict_rule": "dot", "final_centroids": "trained"},
}
"""What an objective sets besides itself, after the preset and before the user."""


TRACKERS = ("tensorboard", "wandb")
"""Names that the setting `track` takes."""


def check_together(config: Any) -> None:
    """Refuse settings that contradict each other.

    Args:
        config: a `Config` whose fields are right each by itself.

    Raises:
        ValueError: which fields, and what to set instead.
    """
    _check_ranges(config)
    _check_objective(config)
    unknown = [name for name in config.trackers if name not in TRACKERS]
    if unknown:
        raise ValueError(f"track {unknown[0]!r}: known: {', '.join(TRACKERS)}")


def _check_ranges(config: Any) -> None:
    if config.crop_min > config.crop_max:
        raise ValueError("crop_min is larger than crop_max")
    if config.blur_min > config.blur_max:
        raise ValueError("blur_min is larger than blur_max")
    for name in ("kmeans_scales", "predict_scales"):
        scales = getattr(config, name)
        if not scales or not all(0.25 <= one <= 4 for one in scales):
            raise ValueError(
                f"{name} {list(scales)}: give one or more factors from 0.25 to 4, such as 1 and 1.5"
            )


def _check_objective(config: Any) -> None:
    if config.objective == "frozen" and config.epochs:
        raise ValueError("objective frozen trains nothing: set epochs to 0")
    kept = config.final_centroids == "trained" and config.epochs > 0
    learnt = config.classifier == "parametric" or config.objective == "iic"
    if kept and learnt and config.predict_rule != "dot":
        raise ValueError(
            "a learnt classifier predicts by dot products: set predict_rule to dot, or "
            "final_centroids to clean"
        )
    plain = not config.unit_features and config.objective != "iic"
    if plain and config.kmeans_metric == "spherical":
        raise ValueError(
            "spherical k-means divides features by their length: set kmeans_metric to "
            "euclidean, or leave unit_features on"
        )


Objective = Literal["picie", "picie-h", "mdc", "iic", "frozen"]
DEFAULT_BACKBONE = "tf_efficientnet_lite0"
MACHINE = (
    *("device", "workers", "cache_mb", "cache_disk_mb", "cache_dir", "track", "track_images"),
)
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
    seed: int = Field(0, ge=0, lt=2**63, description="seed of every random draw")
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
    backbone_layers: tuple[int, ...] = Field(
        (),
        description="blocks of a transformer, or stages of another backbone, whose maps are used; "
        "numbers from 0, or negative ones from the end; empty = the last block, or all stages",
    )
    backbone_weights: str = Field(
        "",
        description="file with weights of the backbone, .safetensors or .pth, in place of timm's; "
        "with or without --pretrained",
    )
    feature_size: int = Field(128, ge=2, description="channels D of the feature map")
    decoder_init: Literal["pca", "random"] = Field(
        "pca", description="start of the pyramid's 1x1 convolutions: PCA of the backbone, or random"
    )
    pca_origin: Literal["balanced", "mean"] = Field(
        "balanced",
        description="with pca: what features are seen from, the middle of 64 clusters, so that a "
        "background that fills most of each picture counts once, or the mean of all pixels",
    )

    # --- views: photometric
    brightness: float = Field(0.3, ge=0, lt=1, description="strength of brightness jitter")
    contrast: float = Field(0.3, ge=0, lt=1, description="strength of contrast jitter")
    saturation: float = Field(0.3, ge=0, lt=1, description="strength of saturation jitter")
    hue: float = Field(0.0, ge=0, le=0.5, description="largest hue shift, in turns of the circle")
    jitter_chance: float = Field(0.8, ge=0, le=1, description="chance of each of the four jitters")
    grayscale: float = Field(0.0, ge=0, le=1, description="chance of grayscale per view")
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
    kmeans_scales: tuple[float, ...] = Field(
        (1.0,),
        description="sizes at which the last clustering sees un-augmented pictures, as factors of "
        "--size; their features are averaged",
    )
    kmeans_smoothing: int = Field(
        3,
        ge=0,
        description="iterations that draw features to those of neighbours of a similar colour, "
        "before they are clustered; 0 = none",
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
        description="centroids that k-means finds, to be merged to K (merge_rule); raised to "
        "twice K where that is more; 0 = find K centroids directly",
    )
    merge_rule: Literal["pixels", "distance"] = Field(
        "pixels",
        description="which centroids are alike: those that are near, share pixels and touch "
        "without an edge, or only those that are near",
    )
    final_centroids: Literal["clean", "trained"] = Field(
        "clean",
        description="centroids of the model: a last clustering of un-augmented pictures, or those "
        "that the last epoch was trained with",
    )

    # --- objective
    objective: Objective = Field(
        "picie",
        description="what training minimises: PiCIE, PiCIE+H (an auxiliary over-clustering), "
        "modified DeepCluster (one view), IIC (mutual information), or frozen: k-means only",
    )
    auxiliary_clusters: int = Field(
        100, ge=2, le=65535, description="clusters K2 of the second head of picie-h and iic"
    )
    classifier: Literal["prototype", "parametric"] = Field(
        "prototype",
        description="centroids as fixed weights, or weights learnt anew in each epoch (mdc's own)",
    )
    cross_view: bool = Field(True, description="PiCIE's cross-view loss beside the within-view one")
    mse_weight: float = Field(
        0.0, ge=0, le=1, description="share of the MSE between both views' features in the loss"
    )
    displacement: int = Field(
        1, ge=0, description="iic: largest displacement of paired pixels, in feature cells"
    )
    unit_features: bool = Field(
        True, description="features are divided by their length before anything compares them"
    )
    label_rule: Literal["cosine", "l2", "dot"] = Field(
        "cosine", description="how a pixel chooses its pseudo-label"
    )
    logit_rule: Literal["cosine", "l2", "dot"] = Field(
        "cosine", description="similarity inside the cross-entropy"
    )
    predict_rule: Literal["cosine", "l2", "dot"] = Field(
        "cosine", description="similarity used by prediction and evaluation"
    )
    predict_scales: tuple[float, ...] = Field(
        (1.0,),
        description="sizes at which prediction sees a picture, as factors of --size; their logits "
        "are averaged",
    )
    refine: int = Field(
        0,
        ge=0,
        description="iterations that draw the borders of masks to edges of the picture, at "
        "prediction; 0 = none",
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
    track: str = Field(
        "",
        description="who is shown losses, scores, settings and pictures of masks meanwhile: "
        "tensorboard, wandb (sent to its server), or both joined by a comma; empty = none",
    )
    track_images: int = Field(
        1,
        ge=0,
        description="epochs from one picture of masks in the trackers to the next; 0 = none",
    )

    @property
    def num_centroids(self) -> int:
        """Centroids that k-means looks for: K, or the over-clusters that are merged to K."""
        return max(self.overclusters, 2 * self.clusters) if self.overclusters else self.clusters

    @property
    def levels(self) -> list[tuple[int, int]]:
        """(centroids, clusters) of each clustering: the main one, and that of picie-h."""
        main = [(self.num_centroids, self.clusters)]
        return main + [(self.auxiliary_clusters,) * 2] * (self.objective == "picie-h")

    @property
    def views(self) -> tuple[int, ...]:
        """Numbers of the views that are clustered and trained on."""
        return (0,) if self.objective == "mdc" else (0, 1)

    @property
    def sample_batch_size(self) -> int:
        """Pictures per batch in the passes without gradients."""
        return self.kmeans_batch_size or 2 * self.batch_size

    @property
    def trackers(self) -> tuple[str, ...]:
        """The names in `track`, each once."""
        return tuple(dict.fromkeys(self.track.replace(",", " ").split()))

    @property
    def post_processing(self) -> str:
        """What follows the network at prediction, in words; "none" for nothing."""
        scales = " ".join(f"{scale:g}" for scale in self.predict_scales)
        parts = [f"mean of scales {scales}"] * (self.predict_scales != (1.0,))
        parts += [f"{self.refine} iterations of border refinement"] * (self.refine > 0)
        return ", ".join(parts) or "none"

    @model_validator(mode="after")
    def _together(self) -> "Config":
        check_together(self)
        return self


def make_config(preset: str = "default", **settings: Any) -> Config:
    """A preset with some settings changed.

    An objective other than `picie` brings settings of its own, which those given here replace.

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
    return _build(_defaults(preset, settings) | settings, where="settings")


def read_config(path: Path, **settings: Any) -> Config:
    """Read a `config.toml`.

    Args:
        path: the file.
        **settings: fields of `Config` that replace those of the file.

    Raises:
        ConfigError: missing file, broken TOML, unknown key or bad value.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8")) | settings
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML ({error}); correct it") from None
    preset = values.pop("preset", "default")
    if not isinstance(preset, str) or preset not in PRESETS:
        hint = suggest(str(preset), list(PRESETS))
        raise ConfigError(f"{path}: unknown preset {preset!r}; {hint}")
    return _build(_defaults(preset, values) | values, where=str(path))


def write_config(config: Config, path: Path) -> None:
    """Write every field, so that the run is described whole even when presets change later."""
    path.write_text(tomli_w.dumps(config.model_dump()), encoding="utf-8")


def _defaults(preset: str, settings: dict[str, Any]) -> dict[str, Any]:
    objective = settings.get("objective")
    own = OBJECTIVES.get(objective, {}) if isinstance(objective, str) else {}
    return PRESETS[preset] | own


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

"""The fields of the only configuration, with their ranges and descriptions.

Flags of the command line, keys of `config.toml`, the reference table in the docs and all range
checks come from these fields. A preset is a set of values for them (presets.py).
"""

from typing import Literal

from pydantic import BaseModel, Field, model_validator

from picie.agreement import check_together

__all__ = ["DEFAULT_BACKBONE", "MACHINE", "Config", "Objective"]

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

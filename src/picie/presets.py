"""Named settings: values for fields of `Config`."""

from typing import Any

__all__ = ["OBJECTIVES", "PRESETS"]

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

"""The errors that picie raises on purpose.

PicieError                 exit code 1
├── ConfigError            exit code 2: a flag, a key or a value that cannot be used
├── DataError              a folder, an image, a mask or a list file that cannot be used
│   └── LayoutError        a folder that is not laid out as a known data set
├── ModelError             a backbone, a run folder or a weight file that cannot be used
│   └── NotFittedError     a model without centroids was asked for clusters
└── MissingExtraError      an optional package is needed and absent

Every message says what is wrong, where, and what to do next.
"""

__all__ = [
    "ConfigError",
    "DataError",
    "LayoutError",
    "MissingExtraError",
    "ModelError",
    "NotFittedError",
    "PicieError",
]


class PicieError(Exception):
    """Base of all errors that picie raises on purpose; the message is for users."""

    exit_code = 1


class ConfigError(PicieError):
    """A setting that cannot be used: unknown name, wrong type, value out of range."""

    exit_code = 2


class DataError(PicieError):
    """Images, masks or list files that are missing, unreadable or inconsistent."""


class LayoutError(DataError):
    """A folder without the tree of a known data set, which the message draws on several lines."""


class ModelError(PicieError):
    """A backbone, a run folder or a weight file that is missing, broken or too new."""


class NotFittedError(ModelError):
    """A model that has no centroids yet was asked for clusters."""


class MissingExtraError(PicieError):
    """An optional package is needed for this call and is not installed."""

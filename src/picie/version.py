"""The version of picie."""

__all__ = ["EARLIER", "__version__"]

__version__ = "0.1.0"

EARLIER = "written by an earlier picie"
"""Part of the warning about a file with settings of an earlier version."""

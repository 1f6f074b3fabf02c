"""`picie export --format`."""

from picie.commands.export_arguments import Export
from picie.errors import ConfigError

__all__ = ["run"]


def run(options: Export) -> None:
    """Write the masks of --images in the layout of --format.

    Raises:
        ConfigError: no --images.
    """
    if options.images is None:
        raise ConfigError(
            f"which photos? Give them: picie export {options.run} --format {options.format} "
            "--images PHOTOS --out DIR"
        )

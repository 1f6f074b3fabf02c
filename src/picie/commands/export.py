"""`picie export`: masks for another tool, or the model for another program."""

from importlib import import_module

from picie.commands.export_arguments import Export
from picie.errors import ConfigError

__all__ = ["run"]


def run(options: Export) -> None:
    """Export masks or the model, whichever is asked for.

    Raises:
        ConfigError: neither or both of --format and --model.
    """
    if options.format is None and options.model is None:
        raise ConfigError(
            "what to export? Give --format (masks of --images, say --format coco) or --model "
            "(the network, say --model onnx)"
        )
    if options.format is not None and options.model is not None:
        raise ConfigError(
            f"--format {options.format} exports masks and --model {options.model} the network; "
            "give one of them, and the other in a second call"
        )
    part = "export_masks" if options.format is not None else "export_model"
    import_module(f"picie.commands.{part}").run(options)  # each loads only what it needs

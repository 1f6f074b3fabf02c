"""`picie predict`."""

from picie.cli.arguments import Evaluate, Export, Predict, Report
from picie.errors import ConfigError
from picie.inference.predict_folder import predict_folder
from picie.inference.segmenter import Segmenter, load
from picie.runtime.devices import keep_freed_memory
from picie.runtime.progress import Reporter

__all__ = ["adjusted", "check_counts", "run"]


def run(options: Predict) -> None:
    """Write masks, and name the images that could not be read."""
    check_counts(options)
    keep_freed_memory()
    reporter = Reporter(quiet=options.quiet)
    model = load(options.run, device=options.device, precision=options.precision)
    if model.class_names is not None and options.clusters is not None:
        reporter.say(
            f"names of {model.class_names.origin} are left out: with --clusters masks hold cluster "
            "numbers; leave --clusters out to have classes"
        )
    predict_folder(
        adjusted(model, options),
        options.source,
        options.out,
        split=options.split,
        overlays=options.overlay,
        overwrite=options.overwrite,
        batch_size=options.batch_size,
        size=options.size,
        tile=options.tile,
        workers=options.workers,
        reporter=reporter,
    )


def check_counts(options: Predict | Export) -> None:
    """Refuse numbers of images in a batch, or of threads, that cannot be.

    Raises:
        ConfigError: which flag, and what it takes.
    """
    if options.batch_size < 1:
        raise ConfigError(f"--batch-size {options.batch_size}: give 1 or more")
    if options.workers < -1:
        raise ConfigError(f"--workers {options.workers}: give 0 or more, or -1 for automatic")


def adjusted(model: Segmenter, options: Predict | Evaluate | Export | Report) -> Segmenter:
    """The model with the clusters and the post-processing that the flags ask for.

    A number of clusters takes the names away, since it asks for plain cluster numbers.
    """
    if options.clusters is not None:
        model = model.cut(options.clusters)
    if options.scales or options.refine is not None:
        model = model.post_processed(scales=options.scales or None, refine=options.refine)
    return model

"""`picie predict`."""

from picie.cli.arguments import Evaluate, Export, Predict, Report
from picie.errors import ConfigError
from picie.inference.predict_folder import predict_folder
from picie.inference.segmenter import Segmenter, load
from picie.postprocessing.regions import check_area
from picie.runtime.devices import keep_freed_memory
from picie.runtime.progress import Reporter

__all__ = ["adjusted", "check_counts", "run"]


def run(options: Predict) -> None:
    """Write masks, and list the unreadable images."""
    check_counts(options)
    check_area("--min-region", options.min_region)
    keep_freed_memory()
    reporter = Reporter(quiet=options.quiet)
    model = load(options.run, device=options.device, precision=options.precision)
    if model.class_names is not None and options.clusters is not None:
        reporter.say(
            f"ignoring the names in {model.class_names.origin}: with --clusters, masks hold "
            "cluster numbers; remove --clusters to get classes"
        )
    predict_folder(
        adjusted(model, options),
        options.source,
        options.out,
        split=options.split,
        overlays=options.overlay,
        confidence=options.confidence,
        overwrite=options.overwrite,
        batch_size=options.batch_size,
        size=options.size,
        tile=options.tile,
        workers=options.workers,
        min_region=options.min_region,
        shard=options.shard,
        engine=options.engine,
        reporter=reporter,
    )


def check_counts(options: Predict | Export) -> None:
    """Refuse impossible batch sizes and numbers of threads.

    Raises:
        ConfigError: names the flag and its range.
    """
    if options.batch_size < 1:
        raise ConfigError(f"--batch-size {options.batch_size}: give 1 or more")
    if options.workers < -1:
        raise ConfigError(f"--workers {options.workers}: give 0 or more, or -1 for automatic")


def adjusted(model: Segmenter, options: Predict | Evaluate | Export | Report) -> Segmenter:
    """The model with the clusters, post-processing and reading of the flags.

    --clusters removes the names, because masks then hold cluster numbers.
    """
    if options.clusters is not None:
        model = model.cut(options.clusters)
    if options.scales or options.refine is not None:
        model = model.post_processed(scales=options.scales or None, refine=options.refine)
    return model.read_as(**options.reading.given())

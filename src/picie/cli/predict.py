"""`picie predict`."""

from shlex import quote

from picie.cli.arguments import Evaluate, Export, Measure, Predict, Report
from picie.errors import ConfigError
from picie.inference.plan import check_out
from picie.inference.predict_folder import predict_folder
from picie.inference.segmenter import MOST_IN_BATCH, Segmenter, load
from picie.postprocessing.regions import check_area
from picie.runtime.devices import keep_freed_memory
from picie.runtime.progress import Reporter

__all__ = ["adjusted", "check_counts", "run"]


def run(options: Predict) -> None:
    """Write masks, and list the unreadable images."""
    check_counts(options)
    check_area("--min-region", options.min_region)
    check_out(options.out)  # before the model is loaded, which takes a while
    keep_freed_memory()
    reporter = Reporter(quiet=options.quiet)
    model = load(options.run, device=options.device, precision=options.precision)
    predict_folder(
        adjusted(model, options),
        options.source,
        options.out,
        split=options.split,
        overlays=options.overlay,
        plain_overlays=options.plain_overlay,
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


def check_counts(options: Predict | Export | Measure) -> None:
    """Refuse impossible batch sizes.

    Raises:
        ConfigError: names the flag and its range.
    """
    if not 1 <= options.batch_size <= MOST_IN_BATCH:
        raise ConfigError(f"--batch-size {options.batch_size}: give 1 to {MOST_IN_BATCH}")


def adjusted(
    model: Segmenter, options: Predict | Evaluate | Export | Report | Measure
) -> Segmenter:
    """The model with the clusters, post-processing and reading of the flags.

    --clusters removes the names, because ids are then cluster numbers; a note says so.
    """
    if options.clusters is not None:
        named = model.class_names
        if named is not None and named.classes:
            Reporter(quiet=options.quiet).say(
                f"--clusters {options.clusters}: ids are cluster numbers, not the classes of "
                f"{named.origin}; leave it out to get classes, or carry the names to that cut with "
                f"picie name {quote(str(options.run))} --clusters {options.clusters}"
            )
        model = model.cut(options.clusters)
    if isinstance(options, Predict | Export) and options.fast:
        if options.scales or options.refine is not None:
            flag = "--scales" if options.scales else "--refine"
            raise ConfigError(
                f"--fast and {flag} contradict each other: --fast turns boundary refinement and "
                "scales off; remove one of the two"
            )
        model = model.post_processed(scales=(1,), refine=0)
    if options.scales or options.refine is not None:
        model = model.post_processed(scales=options.scales or None, refine=options.refine)
    return model.read_as(**options.reading.given())

"""`picie measure`."""

from picie.cli.arguments import Measure
from picie.cli.predict import adjusted, check_counts
from picie.inference.segmenter import load
from picie.measurement.measure import check_table, measure
from picie.postprocessing.regions import check_area
from picie.runtime.devices import keep_freed_memory
from picie.runtime.progress import Reporter

__all__ = ["run"]


def run(options: Measure) -> None:
    """Write a table, and list the unreadable photos."""
    check_counts(options)
    check_area("--min-region", options.min_region)
    # Fail before the model is loaded, which takes a while.
    check_table(
        options.out,
        overwrite=options.overwrite,
        regions=options.regions,
        pixel_size=options.pixel_size,
    )
    keep_freed_memory()
    model = load(options.run, device=options.device, precision=options.precision)
    measure(
        adjusted(model, options),
        options.source,
        options.out,
        regions=options.regions,
        pixel_size=options.pixel_size,
        split=options.split,
        overwrite=options.overwrite,
        batch_size=options.batch_size,
        size=options.size,
        tile=options.tile,
        workers=options.workers,
        min_region=options.min_region,
        reporter=Reporter(quiet=options.quiet),
    )

"""`picie report`."""

from picie.cli.arguments import Report
from picie.cli.predict import adjusted
from picie.inference.segmenter import load
from picie.reporting.make import report
from picie.runtime.devices import keep_freed_memory
from picie.runtime.progress import Reporter

__all__ = ["run"]


def run(options: Report) -> None:
    """Write the page, and list the unreadable photos."""
    keep_freed_memory()
    reporter = Reporter(quiet=options.quiet)
    model = load(options.run, device=options.device, precision=options.precision)
    adapted = adjusted(model, options)
    adapted.run = options.run  # another cut still has the curves of the run
    made = report(
        adapted,
        options.source,
        options.out,
        split=options.split,
        gallery=options.gallery,
        size=options.size,
        workers=options.workers,
        **vars(options.masks),
        reporter=reporter,
    )
    if not made.scored:
        reporter.enumerate(made.problems, rest=str(options.out))
    if made.note:
        reporter.say(made.note)
    count = len(made.problems)
    skipped = f", skipped {count} unreadable photo{'s' * (count != 1)}" if count else ""
    size = options.out.stat().st_size / 1e6
    reporter.say(f"{made.photos} photos in {options.out} ({size:.1f} MB){skipped}")

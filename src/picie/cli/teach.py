"""`picie teach`."""

import shlex

from picie.annotation.teach import teach
from picie.cli.arguments import Teach
from picie.runs import TAUGHT_FOLDER
from picie.runtime.devices import keep_freed_memory
from picie.runtime.progress import Reporter

__all__ = ["run"]


def run(options: Teach) -> None:
    """Teach, and say what was learnt from and what to do next."""
    keep_freed_memory()
    reporter = Reporter(quiet=options.quiet)
    model = teach(
        options.run,
        options.images,
        annotations=options.annotations,
        labelled=options.source,
        out=options.out,
        audit=options.with_audit,
        device=options.device,
        reporter=reporter,
    )
    if options.quiet:
        return
    folder = options.run / TAUGHT_FOLDER if options.out is None else options.out
    reporter.say(f"{folder}: {model.clusters} classes, learnt from {model.labels}")
    photos = "PHOTOS" if options.images is None else shlex.quote(str(options.images))
    reporter.say(f"Masks: picie predict {shlex.quote(str(folder))} {photos} --out masks/taught/")

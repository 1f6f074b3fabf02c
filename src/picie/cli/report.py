"""`picie report`."""

from pathlib import Path

from picie.cli.arguments import Report
from picie.cli.predict import adjusted
from picie.errors import ConfigError
from picie.inference.segmenter import load
from picie.reporting.make import make_report
from picie.runs import Run
from picie.runtime.devices import keep_freed_memory
from picie.runtime.files import write_atomically, writing
from picie.runtime.progress import Reporter

__all__ = ["run"]

_ENDINGS = (".html", ".htm")


def run(options: Report) -> None:
    """Write the page, and name the photos that could not be read."""
    _check_out(options.out)
    keep_freed_memory()
    reporter = Reporter(quiet=options.quiet)
    model = load(options.run, device=options.device, precision=options.precision)
    made = make_report(
        adjusted(model, options),
        options.source,
        run=Run.open(options.run) if (options.run / "run.json").exists() else None,
        title=options.run.resolve().name,
        split=options.split,
        gallery=options.gallery,
        size=options.size,
        workers=options.workers,
        reporter=reporter,
    )
    page = made.html.encode()
    write_atomically(options.out, page)
    if not made.scored:
        reporter.enumerate(made.problems)
    if made.note:
        reporter.say(made.note)
    left_out = f", {len(made.problems)} could not be read" if made.problems else ""
    reporter.say(f"{made.photos} photos in {options.out} ({len(page) / 1e6:.1f} MB){left_out}")


def _check_out(out: Path) -> None:
    """A page that cannot be written is better known before all photos were looked at."""
    if out.suffix.lower() not in _ENDINGS or out.is_dir():
        raise ConfigError(f"--out {out}: give a file that ends in .html, such as report.html")
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)

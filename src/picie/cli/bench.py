"""`picie bench`."""

import sys
from collections import Counter

from picie.benchmark.records import State
from picie.benchmark.run import Benchmark, Failure, open_benchmark
from picie.cli.arguments import Bench
from picie.errors import PicieError
from picie.runtime.progress import Reporter

__all__ = ["run"]

_MOST_NAMED = 3


def run(options: Bench) -> None:
    """Do what is not done and print the table; or, with --list, print the plan.

    Raises:
        PicieError: some runs failed; all others are done.
    """
    found = open_benchmark(options.suite, options.out, root=options.data, only=options.only)
    if options.list:
        _show_plan(found)
        return
    reporter = Reporter(quiet=options.quiet)
    failures = found.run(reporter, overwrite=options.overwrite, skip_missing=options.skip_missing)
    sys.stdout.write((options.out / "table.md").read_text(encoding="utf-8"))
    reporter.say(f"tables in {options.out / 'table.md'} and {options.out / 'table.html'}")
    if failures:
        raise PicieError(_sentence(found, failures))


def _show_plan(found: Benchmark) -> None:
    """One line for each run, so that other programs can read it too."""
    statuses = [(job, found.status(job)) for job in found.chosen]
    width = max(len(state) for state in State)
    for job, status in statuses:
        changes = f"  ({'; '.join(status.changes)})" if status.changes else ""
        sys.stdout.write(f"{status.state:<{width}}  {job.slug}{changes}\n")
    counts = Counter(status.state for _, status in statuses)
    told = ", ".join(f"{counts[state]} {state}" for state in State if counts[state])
    sys.stdout.write(f"{len(statuses)} runs: {told}\n")


def _sentence(found: Benchmark, failures: list[Failure]) -> str:
    named = "; ".join(f"{one['slug']}: {one['message']}" for one in failures[:_MOST_NAMED])
    more = ", ..." if len(failures) > _MOST_NAMED else ""
    return (
        f"{len(failures)} of {len(found.chosen)} runs failed: {' '.join(named.split())}{more}; all "
        f"of it is in {found.out / 'failures.json'}. The same command tries them again"
    )

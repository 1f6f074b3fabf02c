"""`picie bench`."""

import sys
from collections import Counter

from picie.benchmark.records import State
from picie.benchmark.run import Benchmark, Failure, open_benchmark
from picie.cli.arguments import Bench
from picie.errors import PicieError
from picie.runtime.printable import printable
from picie.runtime.progress import Reporter

__all__ = ["run"]

_MOST_NAMED = 3


def run(options: Bench) -> None:
    """Run what is unfinished and print the table, or print the plan with --list.

    Raises:
        PicieError: some runs failed; all others are finished.
    """
    benchmark = open_benchmark(options.suite, options.out, root=options.data, only=options.only)
    if options.list:
        _show_plan(benchmark)
        return
    reporter = Reporter(quiet=options.quiet)
    failures = benchmark.run(
        reporter, overwrite=options.overwrite, skip_missing=options.skip_missing
    )
    sys.stdout.write((options.out / "table.md").read_text(encoding="utf-8"))
    reporter.say(f"tables in {options.out / 'table.md'} and {options.out / 'table.html'}")
    if failures:
        raise PicieError(_sentence(benchmark, failures))


def _show_plan(benchmark: Benchmark) -> None:
    """One line per run, readable by other programs."""
    statuses = [(job, benchmark.status(job)) for job in benchmark.chosen]
    width = max(len(state) for state in State)
    for job, status in statuses:
        changes = f"  ({'; '.join(status.changes)})" if status.changes else ""
        sys.stdout.write(f"{status.state:<{width}}  {job.slug}{printable(changes)}\n")
    counts = Counter(status.state for _, status in statuses)
    summary = ", ".join(f"{counts[state]} {state}" for state in State if counts[state])
    sys.stdout.write(f"{len(statuses)} runs: {summary}\n")


def _sentence(benchmark: Benchmark, failures: list[Failure]) -> str:
    named = "; ".join(
        f"{failure['slug']}: {failure['message']}" for failure in failures[:_MOST_NAMED]
    )
    more = ", ..." if len(failures) > _MOST_NAMED else ""
    return (
        f"{len(failures)} of {len(benchmark.chosen)} runs failed: {' '.join(named.split())}{more}; "
        f"details in {benchmark.out / 'failures.json'}. Run the same command again to retry them"
    )

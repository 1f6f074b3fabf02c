"""`picie train`."""

from picie.cli.arguments import Train
from picie.config import MACHINE, Config
from picie.runs import Run
from picie.runtime.distributed import leave_processes
from picie.training.loop import resume, train

__all__ = ["run"]


def run(options: Train, config: Config) -> None:
    """Train, or resume an interrupted run."""
    if options.resume is not None:
        machine = {name: getattr(config, name) for name in MACHINE}
        resume(
            options.resume,
            quiet=options.quiet,
            profile=options.profile,
            accept_changes=options.accept_changes,
            **machine,
        )
    else:
        assert options.out is not None  # checked when parsing
        if options.config is not None:
            file = options.config
            Run(options.out, config, "").check_apart(lambda: [file])
        train(
            config.data,
            options.out,
            split=config.split,
            config=config,
            overwrite=options.overwrite,
            quiet=options.quiet,
            profile=options.profile,
        )
    leave_processes()

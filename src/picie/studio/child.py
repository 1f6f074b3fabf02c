"""A command in a process of its own that ends when the server does, even if that is killed.

    python -m picie.studio.child MODULE ARGUMENT ...

The server holds the other end of standard input. When it is closed, the command is asked to end as
by any signal, cleans up, and leaves nothing half-written.
"""

import os
import runpy
import signal
import sys
import threading

__all__ = ["main"]

_NICE = 5  # people and their page come first
_PATIENCE = 10.0  # seconds from the request to end to the end


def main(argv: list[str]) -> None:
    """Run a module with arguments, as `python -m` does.

    Args:
        argv: module and arguments.
    """
    threading.Thread(target=_follow, args=[sys.stdin.fileno()], daemon=True).start()
    if hasattr(os, "nice"):  # not on Windows
        os.nice(_NICE)
    module, *arguments = argv
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _follow(source: int) -> None:
    """Wait for the end of the server."""
    while os.read(source, 1024):
        pass
    timer = threading.Timer(_PATIENCE, os._exit, [1])
    timer.daemon = True
    timer.start()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1:])

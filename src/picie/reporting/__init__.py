"""Reports of runs: photos looked at, models scored, pages put together."""

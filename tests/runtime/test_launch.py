"""What launchers say, by environment variables."""

import pytest

from picie.runtime.launch import follows, launched


@pytest.mark.parametrize(
    ("count", "rank", "wanted"),
    [(None, None, (1, 0)), ("1", "0", (1, 0)), ("4", "0", (4, 0)), ("4", "3", (4, 3)),
     ("1", "7", (1, 0)), ("", "", (1, 0))],
)  # fmt: skip
def test_number_and_count(
    monkeypatch: pytest.MonkeyPatch, count: str | None, rank: str | None, wanted: tuple[int, int]
) -> None:
    for name, value in (("WORLD_SIZE", count), ("RANK", rank)):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert launched() == wanted
    assert follows() == (wanted[1] > 0)

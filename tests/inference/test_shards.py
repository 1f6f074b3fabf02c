"""Parts of the images by the hash of their names."""

import pytest

from picie.errors import ConfigError
from picie.inference.shards import Shard, parse_shard


def test_every_name_is_in_one_part_and_the_parts_are_even() -> None:
    names = [f"street/{number:05}" for number in range(16_000)]
    shards = [parse_shard(f"{number}/16") for number in range(1, 17)]
    owners = [[shard.number for shard in shards if shard.holds(name)] for name in names]
    assert all(len(owner) == 1 for owner in owners)
    counts = [sum(owner == [number] for owner in owners) for number in range(1, 17)]
    assert 850 < min(counts) <= max(counts) < 1150


def test_parts_stay_as_they_are() -> None:
    # Machines with other versions of picie or Python must agree; so must any operating system.
    found = [next(n for n in range(1, 8) if Shard(n, 7).holds(name)) for name in ("a", "b/c", "é")]
    assert found == [5, 3, 4]
    assert parse_shard("") == Shard(1, 1)
    assert Shard().holds("a")
    assert not Shard().part
    assert (str(Shard(3, 16)), Shard(3, 16).part) == ("3/16", "3-of-16")
    Shard(1, 2).holds("not \udcff utf-8")


@pytest.mark.parametrize("text", ["0/16", "17/16", "3", "3/", "/16", "a/b", "-1/4", "1/0", "1.5/2"])
def test_impossible_shards(text: str) -> None:
    with pytest.raises(ConfigError, match="give number/count, from 1/"):
        parse_shard(text)

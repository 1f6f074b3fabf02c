"""What the arguments of a verb lack; tests/cli/test_app.py has the messages."""

import pytest

from picie.cli.arguments import Evaluate, Name, Predict
from picie.cli.checking import check_arguments
from picie.cli.flags import flags_of
from picie.cli.parsing import parse, parse_train, record_of
from picie.config import Config
from picie.errors import ConfigError

PREDICT = tuple(flags_of(Predict))
TRAIN = tuple(flags_of(record_of("train"), pairs=True))


@pytest.mark.parametrize(
    "args",
    [
        "run photos --out masks",
        "--out=masks run photos",
        "run photos --out masks --scales 1 1.5 --workers -1",
        "run photos --out masks --batch_size 3",
        "run photos --out masks --clusters None --size=320",
        "run --out masks photos --stretch -1 2e3 --quiet",
        "run photos --out - --device cpu",
    ],
)
def test_what_is_right_passes_and_is_parsed(args: str) -> None:
    check_arguments("predict", args.split(), PREDICT)
    assert str(parse(Predict, args.split()).run) == "run"


def test_values_go_to_the_flag_before_them_as_in_the_parser() -> None:
    options = parse(Name, ["run", "--set", "0=a", "1=b", "--unset", "2"])
    assert (options.set, options.unset) == (("0=a", "1=b"), ("2",))
    with pytest.raises(ConfigError, match="picie name needs RUN"):
        parse(Name, ["--set", "0=a", "run"])
    assert parse(Evaluate, ["run", "data", "--no-named"]).clusters_only


def refusal(flag: str) -> str:
    try:
        parse_train(["photos", "--out", "run", flag])
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "flag", [one.name for one in TRAIN if one.field in Config.model_fields and not one.positional]
)
def test_no_value_of_a_setting_is_refused_in_words_of_a_library(flag: str) -> None:
    for value in ("x", "-1e9", "nan", "2.5", ""):
        message = refusal(f"{flag}={value}")
        assert message.startswith((flag, "settings: ")) or not message
        assert "Input" not in message

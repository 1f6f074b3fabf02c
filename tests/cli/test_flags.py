"""The table of flags is what tyro parses."""

from pathlib import Path

import pytest
import tyro

from picie.cli.arguments import Evaluate, Export, Name, Predict
from picie.cli.flags import Flag, flags_of
from picie.cli.parsing import VERBS, record_of


def table(verb: str) -> dict[str, Flag]:
    return {flag.field: flag for flag in flags_of(record_of(verb), pairs=verb == "train")}


@pytest.mark.parametrize("verb", list(VERBS))
def test_a_verb_has_the_flags_of_its_parser(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        tyro.cli(record_of(verb), args=["--tyro-print-completion", "bash"])
    script = capsys.readouterr().out
    for flag in table(verb).values():
        assert flag.positional or repr(flag.name) in script, flag.name
        assert flag.meaning, flag.name


def test_a_flag_in_all_its_parts() -> None:
    flags = table("export")
    assert flags["run"] == Flag(
        *("RUN", "run", Path, (), 1, 1, "RUN", "Run folder of a trained model.", None, True)
    )
    assert flags["format"].choices[:2] == ("png", "coco")
    assert (flags["out"].kind, flags["out"].required) == (Path, True)
    assert (flags["clusters"].kind, flags["clusters"].default) == (int, None)
    assert (flags["scales"].kind, flags["scales"].most) == (float, None)
    assert (flags["reading.stretch"].least, flags["reading.stretch"].most) == (2, 2)
    assert (flags["quiet"].kind, flags["quiet"].most, flags["quiet"].aliases) == (bool, 0, ())
    assert (flags["workers"].hint, flags["quiet"].hint) == ("(default: -1)", "")


def test_names_and_metavars_are_those_of_the_annotations() -> None:
    names = {flag.field: flag for flag in flags_of(Name)}
    assert (names["from_"].name, names["from_"].metavar) == ("--from", "LABELLED")
    assert {flag.field: flag.names for flag in flags_of(Evaluate)}["clusters_only"] == (
        *("--clusters-only", "--no-named"),
    )
    places = [flag.name for flag in flags_of(Predict) if flag.positional]
    assert places == ["RUN", "PHOTOS"]
    assert next(flag for flag in flags_of(Export) if flag.field == "images").metavar == "PHOTOS"


def test_settings_of_train_have_opposites_and_defaults() -> None:
    flags = table("train")
    assert flags["pretrained"].names == ("--pretrained", "--no-pretrained")
    assert flags["clusters"].default == 27
    assert flags["reading.max_pixels"].default == 2**28
    assert not any(flag.required for flag in flags.values())

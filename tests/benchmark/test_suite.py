"""Suites: defaults, and which of several settings wins."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from picie.benchmark.suite import read_suite
from picie.errors import ConfigError

WriteSuite = Callable[..., Path]


def test_what_is_left_out_has_its_default(write_suite: WriteSuite) -> None:
    suite = read_suite(write_suite(grid=None, evaluate=None))
    assert (suite.data[0].train, suite.data[0].eval) == ("train", "val")
    assert suite.systems[0].preset == "default"
    assert suite.grid.seeds == (0,)
    assert suite.grid.backbones == ("tf_efficientnet_lite0",)
    assert (suite.evaluate, suite.published) == ({}, ())


def test_the_later_table_wins(write_suite: WriteSuite) -> None:
    defaults = {"clusters": 3, "temperature": 0.2, "balance": "none"}
    data = [{"name": "d", "train": "all", "clusters": 4, "temperature": 0.3}]
    systems = [{"name": "s", "preset": "reference", "clusters": 5}]
    suite = read_suite(write_suite(defaults=defaults, data=data, systems=systems))
    config = suite.config(suite.systems[0], suite.data[0], seed=7, backbone="resnet18")
    assert (config.clusters, config.temperature, config.balance) == (5, 0.3, "none")
    assert config.label_rule == "l2"  # of the preset
    assert (config.seed, config.backbone, config.split) == (7, "resnet18", "all")


# --- suite files: what is refused before anything runs


Values = dict[str, Any]


def one(**changes: Any) -> list[Values]:
    return [{"name": "x"} | changes]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"titel": "a"}, "top level: unknown key 'titel'; did you mean 'title'?"),
        ({"path": "a"}, "unknown key 'path'; known: title, defaults, data, systems"),
        ({"title": None}, "top level: 'title' is missing; add it"),
        ({"systems": []}, "top level: systems = []: Tuple should have at least 1 item"),
        ({"systems": [{"preset": "paper"}]}, r"[[systems]] 1: 'name' is missing; add it"),
        ({"systems": one(epohcs=1)}, "[[systems]] 1: unknown key 'epohcs'; did you mean 'epochs'?"),
        ({"systems": one(sedes=[1])}, "[[systems]] 1: unknown key 'sedes'; did you mean 'seeds'?"),
        (
            {"systems": one(qwx=[1])},
            "unknown key 'qwx'; known: name, preset, seeds, backbones, and the settings in picie",
        ),
        ({"systems": one(a1=1, b1=1, c1=1, d1=1, e1=1)}, "; and 2 more"),
        ({"systems": one(settings={})}, "[[systems]] 1: write settings as keys of the table"),
        ({"systems": one(seed=3)}, "'seed' is set for each run; give it as [grid] seeds"),
        ({"systems": one(backbone="a")}, "'backbone' is set for each run; give it as [grid]"),
        ({"systems": one(preset="refernce")}, "system 'x' on 'scenes': unknown preset 'refernce'"),
        ({"systems": one(clusters=1)}, "system 'x' on 'scenes': settings: clusters = 1: Input"),
        (
            {"systems": one(unit_features=False)},
            "cosine similarity divides features by their length",
        ),
        ({"systems": [*one(), *one()]}, "[[systems]] name 'x' occurs twice; make names unique"),
        (
            {"defaults": {"epohcs": 1}},
            "[defaults]: unknown setting 'epohcs'; did you mean 'epochs'?",
        ),
        ({"defaults": {"split": "a"}}, "[defaults]: 'split' is set for each run; give it as"),
        ({"data": one(trian="a")}, "[[data]] 1: unknown key 'trian'; did you mean 'train'?"),
        ({"data": one(path="a", synthetic={})}, "[[data]] 1: give synthetic, or path and dataset"),
        ({"data": one(synthetic={"trai": 1})}, "[[data]] 1: unknown key 'trai'; did you mean"),
        (
            {"data": one(synthetic={"size": [8, 64]})},
            "[[data]] 1: synthetic.size.0 = 8: Input should be",
        ),
        ({"data": [*one(), *one()]}, "[[data]] name 'x' occurs twice; make names unique"),
        ({"data": "camvid"}, "top level: data = 'camvid': Input should be a valid tuple"),
        ({"grid": {"seed": [1]}}, "[grid]: unknown key 'seed'; did you mean 'seeds'?"),
        ({"grid": {"seeds": []}}, "[grid]: seeds = []: Tuple should have at least 1 item"),
        ({"grid": {"seeds": [-1]}}, "settings: seed = -1: Input should be greater than or equal"),
        ({"evaluate": {"sise": 32}}, "[evaluate] sise: unknown key; did you mean 'size'?"),
        (
            {"evaluate": {"split": "a"}},
            "[evaluate] split: unknown key; did you mean 'probe_split'?",
        ),
        ({"evaluate": {"size": 33}}, "[evaluate] size 33: the side must be a multiple of 32"),
        ({"evaluate": {"match": "best"}}, "[evaluate] match = 'best': Input should be 'hungarian'"),
        ({"evaluate": {"fresh_clusters": -1}}, "[evaluate] fresh_clusters = -1: give 0 or more"),
        ({"published": [{"data": "scenes"}]}, "[[published]] 1: 'system' is missing; add it"),
    ],
)
def test_what_cannot_be_is_named(write_suite: WriteSuite, changes: Values, message: str) -> None:
    path = write_suite(**changes)
    with pytest.raises(ConfigError) as caught:
        read_suite(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_published_numbers_belong_to_a_data_set(write_suite: WriteSuite) -> None:
    number = {"system": "theirs", "data": "scnes", "miou": 14.4, "source": "a paper"}
    with pytest.raises(
        ConfigError,
        match=r"\[\[published\]\] data 'scnes' is not in \[\[data\]\]; "
        r"did you mean 'scenes'\?",
    ):
        read_suite(write_suite(published=[number]))
    [found] = read_suite(write_suite(published=[number | {"data": "scenes"}])).published
    assert (found.accuracy, found.miou, found.verified) == (None, 14.4, False)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml: cannot be read .*; check the path"):
        read_suite(tmp_path / "gone.toml")
    (tmp_path / "broken.toml").write_text("title =")
    with pytest.raises(ConfigError, match=r"broken\.toml: is not valid TOML"):
        read_suite(tmp_path / "broken.toml")

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
    assert (suite.evaluate, suite.published, suite.summary) == ({}, (), None)
    assert suite.probe(suite.systems[0], 0) == ""


def test_the_later_table_wins(write_suite: WriteSuite) -> None:
    defaults = {"clusters": 3, "temperature": 0.2, "balance": "none"}
    data = [{"name": "d", "train": "all", "clusters": 4, "temperature": 0.3}]
    systems = [{"name": "s", "preset": "reference", "clusters": 5}]
    suite = read_suite(write_suite(defaults=defaults, data=data, systems=systems))
    config = suite.config(suite.systems[0], suite.data[0], seed=7, backbone="resnet18")
    assert (config.clusters, config.temperature, config.balance) == (5, 0.3, "none")
    assert config.label_rule == "l2"  # of the preset
    assert (config.seed, config.backbone, config.split) == (7, "resnet18", "all")


def test_the_floor_s_first_seed_is_probed(write_suite: WriteSuite) -> None:
    systems = [{"name": "a"}, {"name": "b", "seeds": [7, 0]}]
    suite = read_suite(write_suite(systems=systems, summary={"floor": "b"}))
    probes = [[suite.probe(system, seed) for seed in (0, 1, 7)] for system in suite.systems]
    assert probes == [["", "", ""], ["", "", "linear"]]


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
        ({"systems": []}, "top level: systems = []: give at least 1"),
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
        ({"systems": one(clusters=1)}, "system 'x' on 'scenes': settings: clusters = 1: give"),
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
        ({"summary": {"floor": "defualt"}}, "[summary] floor 'defualt' is not in [[systems]]; did"),
        ({"summary": {}}, "[summary]: 'floor' is missing; add it"),
        (
            {"summary": {"floor": "default", "prob": "knn"}},
            "[summary]: unknown key 'prob'; did you mean 'probe'?",
        ),
        ({"summary": {"floor": "default", "probe": "both"}}, "[summary]: probe = 'both': give"),
        ({"data": one(trian="a")}, "[[data]] 1: unknown key 'trian'; did you mean 'train'?"),
        ({"data": one(path="a", synthetic={})}, "[[data]] 1: give synthetic, or path and dataset"),
        (
            {"data": one(synthetic={"trai": 1})},
            "[[data]] 1: unknown key 'synthetic.trai'; did you mean",
        ),
        (
            {"data": one(synthetic={"size": [8, 64]})},
            "[[data]] 1: synthetic.size.0 = 8: give 32 or more",
        ),
        ({"data": [*one(), *one()]}, "[[data]] name 'x' occurs twice; make names unique"),
        ({"data": "camvid"}, "top level: data = 'camvid': give a list"),
        ({"grid": {"seed": [1]}}, "[grid]: unknown key 'seed'; did you mean 'seeds'?"),
        ({"grid": {"seeds": []}}, "[grid]: seeds = []: give at least 1"),
        ({"grid": {"seeds": [-1]}}, "[grid]: seeds.0 = -1: give 0 or more"),
        ({"evaluate": {"sise": 32}}, "[evaluate] sise: unknown key; did you mean 'size'?"),
        (
            {"evaluate": {"split": "a"}},
            "[evaluate] split: unknown key; did you mean 'probe_split'?",
        ),
        ({"evaluate": {"size": 33}}, "[evaluate] size 33: the side must be a multiple of 32"),
        ({"evaluate": {"match": "best"}}, "[evaluate] match = 'best': give 'hungarian'"),
        ({"evaluate": {"named": True}}, "[evaluate] named: unknown key"),
        (
            {"evaluate": {"mask_map": {"255": "x"}}},
            "[evaluate] --mask-map 255=x: 'x' is not a whole",
        ),
        ({"evaluate": {"void": "some"}}, "[evaluate] --void some: 'some' is not a whole number"),
        ({"evaluate": {"fresh_clusters": -1}}, "[evaluate] fresh_clusters = -1: give 0 to 1000000"),
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


KEYS: dict[str, Values] = {
    "": {
        "title": "t",
        "data": [],
        "systems": [],
        "grid": {},
        "defaults": {},
        "evaluate": {},
        "published": [],
    },
    "data": {"name": "d", "path": "p", "dataset": "", "train": "", "eval": "", "synthetic": {}},
    "synthetic": {"train": 2, "val": 2, "size": [32, 32], "seed": 1},
    "systems": {"name": "s", "preset": "best", "seeds": [1], "backbones": ["b"], "clusters": 3},
    "grid": {"seeds": [1], "backbones": ["b"]},
    "published": {"system": "s", "data": "d", "accuracy": 1.5, "miou": 1, "source": "x"},
    "evaluate": {"size": 32, "bootstrap": 3, "matching": "hungarian"},
}


@pytest.mark.parametrize(
    ("table", "key"), [(table, key) for table, keys in KEYS.items() for key in keys]
)
def test_a_wrong_value_is_refused_with_file_and_key(
    tmp_path: Path, wrong_values: list[Any], toml: Callable[[Any], str], table: str, key: str
) -> None:
    path, refused = tmp_path / "suite.toml", 0
    for value in wrong_values:
        data: Values = {"name": "d", "path": "p"}
        values: Values = {"title": "t", "data": [data], "systems": [{"name": "s"}]}
        match table:
            case "":
                values[key] = value
            case "synthetic":
                values["data"] = [{"name": "d", "synthetic": {key: value}}]
            case "data" | "systems":
                values[table][0][key] = value
            case "published":
                values[table] = [{"system": "s", "data": "d", "source": "x"} | {key: value}]
            case _:
                values[table] = {key: value}
        path.write_text(
            "".join(f"{name} = {toml(one)}\n" for name, one in values.items()), encoding="utf-8"
        )
        try:
            read_suite(path)
        except ConfigError as error:
            message = str(error)
            refused += 1
            assert message.startswith(f"{path}: ")
            assert len(message) < 5000
            assert message.isprintable()
            assert key in message or value == {"name": []}
    assert refused > len(wrong_values) / 2


@pytest.mark.parametrize(
    "changes",
    [
        {"grid": {"seeds": list(range(2000))}},
        {"systems": [{"name": f"s{number}"} for number in range(2000)]},
        {"systems": [{"name": f"s{number}", "seeds": list(range(900))} for number in range(900)]},
        {"evaluate": {"bootstrap": 10**12}},
        {"data": [{"name": "d", "synthetic": {"size": [10**6, 10**6]}}]},
        {"data": [{"name": "d", "synthetic": {"train": 10**12}}]},
        {"data": [{"name": "a\nb", "path": "p"}]},
    ],
)
def test_what_costs_too_much_is_refused(write_suite: WriteSuite, changes: Values) -> None:
    with pytest.raises(ConfigError, match=r"tiny\.toml: "):
        read_suite(write_suite(**changes))

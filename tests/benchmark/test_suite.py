"""Suites: defaults, and which of several settings wins."""

from collections.abc import Callable
from pathlib import Path

from picie.benchmark.suite import read_suite

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

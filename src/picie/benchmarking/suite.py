"""Suites: what a benchmark compares, as one TOML file says it (read by `suite_file`).

    title = "CamVid, 11 classes"
    [defaults]      settings of every run
    [[data]]        a labelled folder, or scenes to be drawn; with settings of its own, if any
    [[systems]]     one row of the table: a preset and settings
    [grid]          seeds, backbones
    [evaluate]      protocol: arguments of `evaluate`
    [[published]]   numbers of others, to stand beside the own ones

Settings are fields of `Config`. Where several tables set one, the later in this order wins: preset,
defaults, data, system.
"""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, model_validator

from picie.config import DEFAULT_BACKBONE, Config, make_config, suggest
from picie.errors import ConfigError

__all__ = [
    "ELSEWHERE",
    "Data",
    "Grid",
    "Part",
    "Published",
    "Suite",
    "Synthetic",
    "System",
    "check_settings",
]

ELSEWHERE = {
    "data": "[[data]] path",
    "dataset": "[[data]] dataset",
    "split": "[[data]] train",
    "seed": "[grid] seeds",
    "backbone": "[grid] backbones",
}
"""Fields of `Config` that the grid sets, and where the suite says so."""

_Side = Annotated[int, Field(ge=32)]


class Part(BaseModel, frozen=True, extra="forbid"):
    """A table of the suite. What is no key of its own is a setting, if `Config` knows it."""

    @model_validator(mode="before")
    @classmethod
    def _gather_settings(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "settings" not in cls.model_fields:
            return values
        if "settings" in values:
            raise ValueError("write settings as keys of the table itself, not in 'settings'")
        settings = [  # in the order of the file
            key for key in values if key in Config.model_fields and key not in cls.model_fields
        ]
        check_settings(set(settings))
        kept = {key: value for key, value in values.items() if key not in settings}
        return kept | {"settings": {key: values[key] for key in settings}}


class Synthetic(Part):
    """Scenes that picie draws: how many, and their (H, W) in pixels."""

    train: int = Field(48, ge=1)
    val: int = Field(16, ge=1)
    size: tuple[_Side, _Side] = (240, 320)
    seed: int = Field(0, ge=0)


class Data(Part):
    """One data set.

    Attributes:
        name: in tables and file names.
        path: below the data root, or absolute; the name if empty.
        dataset: name of a data set that picie knows the layout of; "" = picie's own layout.
        synthetic: scenes to be drawn, in place of a path.
        train: split learnt from; "" = all pictures.
        eval: split scored.
        settings: fields of `Config` for this data set.
    """

    name: str = Field(min_length=1)
    path: str = ""
    dataset: str = ""
    synthetic: Synthetic | None = None
    train: str = "train"
    eval: str = "val"
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_source(self) -> "Data":
        if self.synthetic is not None and (self.path or self.dataset):
            raise ValueError("give synthetic, or path and dataset, not both")
        return self


class System(Part):
    """One row of the table: a preset, settings, and seeds or backbones of its own, if any."""

    name: str = Field(min_length=1)
    preset: str = "default"
    seeds: tuple[int, ...] = ()
    backbones: tuple[str, ...] = ()
    settings: dict[str, Any] = Field(default_factory=dict)


class Grid(Part):
    """What every system is run with."""

    seeds: tuple[int, ...] = Field((0,), min_length=1)
    backbones: tuple[str, ...] = Field((DEFAULT_BACKBONE,), min_length=1)


class Published(Part):
    """A number that somebody else measured.

    Attributes:
        system: in the table; stands below the suite's system of this name, if there is one.
        data: name of a data set of the suite.
        accuracy: per cent.
        miou: per cent.
        source: where it can be read.
        verified: it was read there, not quoted from others.
    """

    system: str = Field(min_length=1)
    data: str
    accuracy: float | None = Field(None, ge=0, le=100)
    miou: float | None = Field(None, ge=0, le=100)
    source: str = Field(min_length=1)
    verified: bool = False


class Suite(Part):
    """A whole suite; `path` is the file that it was read from."""

    path: Path
    title: str
    defaults: dict[str, Any] = Field(default_factory=dict)
    data: tuple[Data, ...] = Field(min_length=1)
    systems: tuple[System, ...] = Field(min_length=1)
    grid: Grid = Grid()
    evaluate: dict[str, Any] = Field(default_factory=dict)
    published: tuple[Published, ...] = ()

    def config(self, system: System, data: Data, *, seed: int, backbone: str) -> Config:
        """Settings of one run, but for the place of its pictures.

        Raises:
            ConfigError: unknown preset, or a setting that is impossible.
        """
        settings = self.defaults | data.settings | system.settings
        try:
            return make_config(
                system.preset,
                **settings,
                dataset=data.dataset,
                seed=seed,
                backbone=backbone,
                split=data.train,
            )
        except ConfigError as error:
            raise ConfigError(
                f"{self.path}: system {system.name!r} on {data.name!r}: {error}"
            ) from None


def check_settings(names: set[str]) -> None:
    """Refuse what is no setting of a suite.

    Raises:
        ValueError: which pydantic gathers with what else is wrong.
    """
    for name in sorted(names):
        if name in ELSEWHERE:
            raise ValueError(f"{name!r} is set for each run; give it as {ELSEWHERE[name]}")
        if name not in Config.model_fields:
            near = suggest(name, [one for one in Config.model_fields if one not in ELSEWHERE])
            raise ValueError(f"unknown setting {name!r}; {near}")

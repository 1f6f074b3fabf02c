"""`picie measure`."""

from pathlib import Path

import pytest

from picie.cli.app import main

pytest.importorskip("pyarrow")
pytest.importorskip("skimage")


def test_a_table_of_a_run(
    runs: dict[str, Path], scenes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "t.csv"
    main(["measure", str(runs["default"]), str(scenes), "--out", str(out), "--split", "val",
          "--clusters", "2", "--regions", "--pixel-size", "0.65um"])  # fmt: skip
    assert f"rows of 3 photos in {out}" in capsys.readouterr().err
    head, *rows = out.read_text().splitlines()
    assert head.endswith('"area_um2","perimeter_um","equivalent_diameter_um"')
    assert {row.split(",")[2] for row in rows} == {'"cluster 0"', '"cluster 1"'}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--out", "t.xlsx"], "give a file that ends in .parquet or .csv"),
        (["--out", "t.csv", "--pixel-size", "3parsec"], "units: nm, um, mm, cm, m, km"),
        (["--out", "t.csv", "--min-region=-1"], "--min-region -1: give 0 or more pixels"),
        (["--out", "t.csv", "--batch-size", "0"], "--batch-size 0: give 1 to 65536"),
    ],
)
def test_wrong_flags_are_refused_before_anything_is_read(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["measure", "no/run", "no/photos", *flags])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err

"""The sentences beside a table: nothing that makes numbers comparable is left out."""

from collections.abc import Callable
from typing import Any

from picie.benchmark.summary import code_of, protocol, provenance

MakeRecord = Callable[..., dict[str, Any]]


def test_the_protocol_is_told_once_for_all_runs(make_record: MakeRecord) -> None:
    [text] = protocol([make_record(seed=0), make_record(seed=1)])
    assert text == (
        "Learnt from train (6 images) without labels, scored on val (3 images); K = 11; short "
        "side 320 px; crop center; matching hungarian (one-to-one); post-processing none; "
        "centroids: trained model, clean images; backbone resnet18."
    )


def test_what_is_not_known_here_is_told_too(make_record: MakeRecord) -> None:
    [text] = protocol([make_record(protocol={"bootstrap": 1000, "unreadable": 2})])
    assert "unreadable images: 2; bootstrap 1000; backbone" in text


def test_runs_that_cannot_be_compared_are_named(make_record: MakeRecord) -> None:
    runs = [make_record(), make_record(protocol={"K": 27, "crop": "none"})]
    text, warning = protocol(runs)
    assert "K = 11 / 27" in text
    assert warning == "The runs differ in K, crop: compare them with care."


def test_other_centroids_are_told_but_no_reason_for_a_warning(make_record: MakeRecord) -> None:
    [text] = protocol([make_record(), make_record(protocol={"centroids": "view 1"})])
    assert "centroids: trained model, clean images / view 1" in text


def test_all_machines_and_all_code_are_named(make_record: MakeRecord) -> None:
    commit = {"id": "0123456789abcdef", "changed": True}
    machine = make_record()["machine"] | {"cores": 64, "accelerator": "H100"}
    text = provenance([make_record(), make_record(commit=commit, machine=machine)])
    assert "picie 0.2.0 (installed package / commit 0123456789 with changes)" in text
    assert "x86_64, 2 cores, 1 threads / Linux x86_64, 64 cores, 1 threads, H100" in text
    assert "torch 2.14.1, Python 3.12.1" in text
    assert code_of(make_record(commit=commit | {"changed": False})) == "commit 0123456789"


def test_before_the_first_run() -> None:
    assert protocol([]) == ("No run is done yet.",)
    assert provenance([]) == "No run is done yet."

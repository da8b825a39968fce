"""The document of an upgrade: it is as its schema says, and has each number and moment once, in everyday units."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshproof.input_files import Node
from meshproof.report.document_schema import check
from meshproof.upgrade.evidence import Evidence
from meshproof.upgrade.report.document import FORMAT, MOST, SCHEMA, to_json
from meshproof.upgrade.verdict import Verdict, judge, verdict_of
from tests.support.pages import EVIL
from tests.support.schemas import objects, schema
from tests.support.upgrades import (
    ACKNOWLEDGED,
    GATEWAY,
    UPGRADES,
    evil,
    fail_open,
    flown,
    good,
    many_failures,
    nothing,
    stopped,
)


def written(evidence: Evidence) -> dict[str, Any]:
    """Return the document as it comes out of a file."""
    findings = judge(evidence)
    loaded: dict[str, Any] = json.loads(json.dumps(to_json(evidence, findings, verdict_of(findings))))
    return loaded


@pytest.mark.parametrize("name", [*UPGRADES, "evil"])
def test_a_document_is_as_its_schema_says(name: str) -> None:
    """Whatever became of the upgrade; two implementations of JSON Schema agree."""
    document = written(evil(EVIL) if name == "evil" else UPGRADES[name]())
    assert [error.message for error in schema(SCHEMA).iter_errors(document)] == []
    check(Node(Path("upgrade.json"), "", document), SCHEMA)


def test_the_schema_is_strict() -> None:
    """A key that nobody described is refused, and each is required."""
    described = objects(json.loads(SCHEMA.read_text()))
    assert len(described) > 15
    assert [each for each in described if "additionalProperties" not in each] == []
    more = written(fail_open())
    more["flows"][0]["lost"][0]["colour"] = "red"
    assert not schema(SCHEMA).is_valid(more)
    for key in written(good()):
        assert not schema(SCHEMA).is_valid({name: value for name, value in written(good()).items() if name != key})


def test_the_document_names_its_version() -> None:
    """Of its form, and of the tool."""
    document = written(good())
    assert (document["schema"], document["format"]) == ("upgrade.schema.json", FORMAT)
    assert document["tool"]["name"] == "meshproof"
    assert document["began"].endswith("+00:00")


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("safe", Verdict.SAFE),
        ("fail-open", Verdict.FAIL_OPEN),
        ("very many failures", Verdict.FAIL_OPEN),
        ("stuck", Verdict.DID_NOT_FINISH),
        ("interrupted", Verdict.INTERRUPTED),
        ("interrupted at once", Verdict.INTERRUPTED),
        ("nothing sent", Verdict.INCONCLUSIVE),
        ("behaviour changed", Verdict.CHANGED),
        ("regression", Verdict.REGRESSION),
        ("disruption", Verdict.DISRUPTION),
        ("inconclusive", Verdict.INCONCLUSIVE),
    ],
)
def test_the_verdict_is_a_sentence_with_what_to_do(name: str, verdict: Verdict) -> None:
    """It is that of the worst finding, and says how many more there are."""
    document = written(UPGRADES[name]())
    assert document["verdict"]["name"] == str(verdict)
    assert document["verdict"]["exit_code"] == verdict.value
    assert document["verdict"]["to_do"]
    if document["findings"]:
        assert document["verdict"]["sentence"].startswith(document["findings"][0]["text"])
        assert document["findings"][0]["verdict"] == str(verdict)


def test_a_safe_upgrade_says_what_was_seen() -> None:
    """How many requests, rows and tries its word rests on."""
    assert written(good())["verdict"]["sentence"] == (
        "The upgrade is safe: 0 of 4,200 requests were lost, 3 rows were kept in all 5 states, and none of 1,200 "
        "requests that must be refused got in. One change is acknowledged."
    )
    acknowledged = [replace(ACKNOWLEDGED, name=f"answer by {number}") for number in range(2)]
    assert written(replace(good(), differences=acknowledged))["verdict"]["sentence"].endswith(
        " got in. 2 changes are acknowledged."
    )
    assert written(replace(good(), differences=[]))["verdict"]["sentence"].endswith(" got in.")
    assert written(fail_open())["verdict"]["sentence"].endswith(
        " There are 5 more findings: 1 regression, 1 disruption above budget, 1 behaviour changed, 2 inconclusive."
    )


def test_a_flow_has_its_numbers_and_each_loss_its_moment() -> None:
    """With the state, and the event that is nearest in time, before or after it."""
    flow = written(fail_open())["flows"][0]
    assert flow["flow"] == GATEWAY
    assert (flow["requests"], flow["failed"], flow["failures"]) == (1200, 3, {"RESET": 3})
    assert flow["failed_in"] == {"S2": 2, "S3": 1}
    assert (flow["longest_gap_ms"], flow["resolution_ms"], flow["p99_ms"], flow["lag_p99_ms"]) == (150, 50, 4, 0)
    assert flow["longest_gap"] == {
        "began": 22.454,
        "ended": 22.604,
        "state": "S2",
        "event": {"number": 5, "text": "istio-system/istio-ingressgateway-5c7b-abc", "seconds_after": 0.204},
    }
    assert flow["lost"][0] == {
        "sent": 22.5,
        "ended": 22.504,
        "class": "RESET",
        "state": "S2",
        "event": {"number": 5, "text": "istio-system/istio-ingressgateway-5c7b-abc", "seconds_after": 0.104},
    }
    later = written(replace(good(), flows=[flown(GATEWAY, lost=[635])]))["flows"][0]["lost"][0]
    assert (later["state"], later["event"]["number"], later["event"]["seconds_after"]) == ("S2", 7, -0.246)


def test_a_probe_has_what_got_in() -> None:
    """Each with its moment and state, and the control beside it."""
    probe = written(fail_open())["probes"][0]
    assert (probe["tries"], probe["refusals"], probe["got_in"], probe["unknown"]) == (600, 586, 2, {"TIMED_OUT": 12})
    assert [(through["seconds"], through["state"]) for through in probe["let_through"]] == [(25.5, "S2"), (27.0, "S2")]
    assert probe["control"]["failed"] == 0


def test_a_promise_is_counted_in_each_state() -> None:
    """Its rows, by what became of them."""
    first, second = written(fail_open())["promises"]
    assert (first["promise"], second["promise"]) == ("gateway/mutual_tls", "policies/authorization")
    assert [(state["state"], state["kept"], state["broken"]) for state in first["states"]] == [
        ("S0", 2, 0),
        ("S1", 2, 0),
        ("S2", 2, 0),
        ("S3", 1, 1),
        ("S4", 2, 0),
    ]


def test_configurations_are_left_out() -> None:
    """Each is 100 kB; what differs between them is among the differences."""
    first = replace(good().visits[0], facts={"configuration of a": "{}", "webhook b": "there"})
    assert written(replace(good(), visits=[first]))["states"][0]["facts"] == {"webhook b": "there"}


def test_a_state_that_was_not_reached_says_so() -> None:
    """Null is no moment; the promise has no row there."""
    document = written(stopped())
    assert document["states"][2]["reached"] is None
    assert document["stop"]["state"] == "S2"
    assert document["promises"][0]["states"][2]["kept"] == 0
    assert written(nothing())["promises"] == []


def test_thousands_of_failures_are_counted_and_not_all_listed() -> None:
    """The recording has them one by one."""
    flow = written(many_failures())["flows"][0]
    assert (flow["failed"], len(flow["lost"])) == (5_999, MOST)

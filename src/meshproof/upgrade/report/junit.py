"""An upgrade as JUnit's XML, for a build server, made of the JSON document.

A suite for each state, with a test for each promise; one for the probes, one for the flows, one for the control, one
for what is otherwise, and one for all the rest. What is known to be wrong is a failure, and what is unknown an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from meshproof.pytest_plugin.promises import module_of
from meshproof.report.junit import ERROR, FAILURE, Case, junit_xml
from meshproof.upgrade.evidence import whole_name
from meshproof.upgrade.report.document import Json

_UNKNOWN = {"inconclusive", "interrupted"}


def upgrade_junit(document: Json) -> str:
    """Return a document of ``document.to_json`` as a JUnit file."""
    subjects = {
        "fail-open probes": _once(whole_name(probe["name"]) for probe in document["probes"]),
        "flows": _once(whole_name(flow["flow"]) for flow in document["flows"]),
        "control": _once(whole_name(flow["flow"]) for flow in document["controls"]),
        "differences": _once(difference["name"] for difference in document["differences"]),
    }
    suites = [
        (
            f"{state['state']} {state['title']}",
            [_promise(promise, number, document) for promise in document["promises"]],
        )
        for number, state in enumerate(document["states"])
    ]
    suites += [(name, [_subject(subject, document) for subject in several]) for name, several in subjects.items()]
    named = {name for several in subjects.values() for name in several}
    return junit_xml([*suites, ("upgrade", list(_others(document, named)))])


def _promise(promise: Json, number: int, document: Json) -> Case:
    """Return what became of the rows of a promise in a state; where none was run it is unknown."""
    state = document["states"][number]
    counts = {result: several for result, several in promise["states"][number].items() if result != "state" and several}
    rows = {row: result for row, result in state["rows"].items() if module_of(row) == promise["module"]}
    text = ", ".join(f"{several} {result}" for result, several in counts.items()) or "no row was run"
    for row, result in rows.items():
        if result != "kept":
            reason = f" ({state['reasons'][row]})" if row in state["reasons"] else ""
            text += f"; {row.partition('::')[2]}: {result}{reason}"
    about = [
        finding for finding in document["findings"] if finding["subject"] in rows and finding["state"] == state["state"]
    ]
    if "broken" in counts or _fault(about) == FAILURE:
        return Case(promise["promise"], FAILURE, text)
    unknown = not counts or {"not tried", "skipped"} & counts.keys()
    return Case(promise["promise"], ERROR if unknown else None, text)


def _once(names: Iterable[str]) -> list[str]:
    return [*dict.fromkeys(names)]


def _subject(name: str, document: Json) -> Case:
    """Return what was found about a probe or a flow, with all of its parts, or about a fact."""
    findings = [finding for finding in document["findings"] if name in _about(finding)]
    return Case(name, _fault(findings), " ".join(finding["text"] for finding in findings))


def _others(document: Json, subjects: set[str]) -> Iterator[Case]:
    """Give what is about none of these, nor a row; first whether the upgrade came to its end."""
    stop = document["stop"]
    yield Case(
        "comes to its end", (ERROR if stop["interrupted"] else FAILURE) if stop else None, stop["what"] if stop else ""
    )
    rows = {row for state in document["states"] for row in state["rows"]}
    for finding in document["findings"]:
        if not _about(finding) & (subjects | rows | {"upgrade"}):
            yield Case(finding["subject"], _fault([finding]), finding["text"])


def _about(finding: Json) -> set[str]:
    """Return what a finding is about: its subject, and of a part of a flow or a probe the whole."""
    return {finding["subject"], whole_name(finding["subject"])}


def _fault(findings: list[Json]) -> str | None:
    if any(finding["verdict"] not in _UNKNOWN for finding in findings):
        return FAILURE
    return ERROR if findings else None

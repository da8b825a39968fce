"""An upgrade in a few sentences: real changes first, those that are alike together, and what was not looked at."""

from __future__ import annotations

from dataclasses import replace

from meshproof.upgrade.evidence import Difference, Images, Kind
from meshproof.upgrade.facts.listeners import NOT_LOOKED_AT
from meshproof.upgrade.summary import rows_by_module, scope_of, summary_of
from meshproof.upgrade.verdict import Verdict, judge, verdict_of
from tests.support.upgrades import ACKNOWLEDGED, EXPECTED, STATES, UNEXPLAINED, fail_open, good, nothing, stopped

THRESHOLD = "common_lb_config.healthy_panic_threshold"
WHY = "Istio 1.31 sends also what is not healthy: https://istio.io/"
NOT_YOURS = (
    "What is judged is a cluster that meshproof brings up for this, with a mesh of its own and overlay.yaml laid over "
    "it: it is not a cluster of yours. Unless an overlay says otherwise its gateways have two replicas, of which none "
    "goes before another is ready; they go on for 6 s when they are to end, and the servers of its traffic for 5 s. "
    "What does not may lose requests where these lose none."
)


def test_real_changes_come_first_and_alike_ones_are_one() -> None:
    """What nobody explains, what is acknowledged, what the release brings; another version is only counted."""
    brought = [
        Difference(f"configuration of {proxy}: cluster a: {THRESHOLD}, and 57 alike", "", "{}", state, expected=WHY)
        for proxy, state in (("gateway", STATES[2]), ("client", STATES[3]))
    ]
    summary = summary_of(replace(good(), differences=[EXPECTED, *brought, ACKNOWLEDGED, UNEXPLAINED]))
    assert (
        summary.differences == "1 unexplained, 1 acknowledged, 2 brought by the new release, 1 brought by any upgrade; "
        "1 fact was compared"
    )
    assert [change.kind for change in summary.changes] == [Kind.UNEXPLAINED, Kind.ACKNOWLEDGED, Kind.RELEASE]
    assert str(summary.changes[-1]) == (
        f"configuration of gateway: cluster a: {THRESHOLD}, and 57 alike: nothing is now {{}}. "
        f"First in S2, and 1 more like it. {WHY}"
    )


def test_an_overlay_that_changes_nothing_is_told() -> None:
    """It may be misspelt: istiod leaves fields of the mesh configuration alone that it does not know."""
    in_vain = replace(good(), differences=[EXPECTED])
    words = "1 brought by any upgrade; 1 fact was compared; nothing that is looked at by overlay.yaml"
    assert summary_of(in_vain).differences == words
    assert "overlay.yaml" not in summary_of(replace(in_vain, differences=[EXPECTED, UNEXPLAINED])).differences
    on_both = replace(in_vain, before=replace(in_vain.before, overlays=in_vain.after.overlays))
    assert summary_of(on_both).differences == "1 brought by any upgrade; 1 fact was compared"


def test_how_many_facts_were_compared_is_said() -> None:
    """Those that were known before the upgrade and in a later state: others have nothing to be compared with."""
    why = "unknown: no answer"
    facts = [{"a": "1", "b": "1", "d": "1", "e": why}, {"a": "1", "c": "1", "d": why}, {"b": "2", "c": "1", "e": "1"}]
    several = replace(good(), visits=[replace(good().visits[0], facts=of_one) for of_one in facts], differences=[])
    assert summary_of(several).differences.startswith("none; 2 facts were compared")
    once = replace(several, visits=several.visits[:1])
    assert "compared" not in summary_of(once).differences


def test_servers_that_were_not_looked_at_are_named() -> None:
    """They are no doubt, for nobody could look at them from here; nor are they passed over without a word."""
    facts = {"posture a.test:5432": NOT_LOOKED_AT, "posture b.test:443": "answers"}
    evidence = replace(good(), visits=[replace(visit, facts=facts) for visit in good().visits])
    assert summary_of(evidence).scope[-1].startswith("The posture of a.test:5432 was not looked at: ")
    assert verdict_of(judge(evidence)) is Verdict.SAFE


def test_what_ended_early_says_so() -> None:
    """An overlay that nobody got to has not failed to change anything, and there may be more that is otherwise."""
    early = replace(stopped(), differences=[])
    assert early.after.overlays
    assert summary_of(early).differences == "none; 1 fact was compared, as far as it went"


def test_rows_are_told_by_their_modules() -> None:
    """Where a run ended early it is said in which states they were tried."""
    assert summary_of(stopped()).rows.startswith("In S0, S1 3 rows of 2 modules (")
    assert summary_of(nothing()).rows == "In each state no row was tried."
    many = rows_by_module({f"tests/e2e/test_{number}.py": 1 for number in range(10)})
    assert many.endswith("7 1 and 2 more)")


def test_how_late_and_how_busy_is_said_where_it_is_known() -> None:
    """And else that it is not."""
    sentence = "How late the senders were is not known; how busy the machine was is not known."
    assert summary_of(nothing()).machine == sentence


def test_what_became_of_the_traffic_is_said_in_numbers() -> None:
    """Also of an upgrade that is not safe, and of one that ended before there was any."""
    assert summary_of(fail_open()).traffic == (
        "3 of 7,130 requests were lost, and 2 of 1,800 that must be refused got in; the longest time without an answer "
        "was 1,420 ms, of pod to pod, kept connections."
    )
    assert summary_of(nothing()).traffic == "No traffic was sent."


def test_the_scope_says_what_is_judged() -> None:
    """What a name stands for, where images come from, and that the cluster is not the reader's own."""
    evidence = good()
    before = replace(evidence.before, release="a commit of that branch (9739e10eb9d7), which comes after 1.30.3")
    scope = scope_of(before, evidence.after, Images("packages", upstream_envoy=True))
    assert scope == [
        "1.30.0 is a commit of that branch (9739e10eb9d7), which comes after 1.30.3.",
        "Images are built from packages: both sides run upstream Envoy, without the extensions of Istio's own build.",
        NOT_YOURS,
    ]
    assert "Images are pulled from a registry." in scope_of(before, evidence.after, Images("registry"))

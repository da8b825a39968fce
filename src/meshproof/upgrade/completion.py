"""What must hold in a state, whatever there was before: an upgrade that has not come about is not safe.

A state of an upgrade is about certain releases and revisions: new gateways are of the new ones, and at the end so are
all proxies and istiods. Where something else is seen, that did not finish, although every step was done without an
error. What could not be found out is left to `doubt`.

Source: https://istio.io/latest/docs/setup/upgrade/canary/ and https://istio.io/latest/docs/ops/configuration/mesh/webhook/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from meshproof.mesh import istio
from meshproof.mesh.gateways import DEPLOYMENTS
from meshproof.upgrade.evidence import UNKNOWN, Evidence, State, Strategy, Visit
from meshproof.upgrade.facts import ISTIOD, PROXY, WEBHOOK
from meshproof.upgrade.facts.control_plane import LEADS_NOWHERE
from meshproof.upgrade.finding import Finding, Verdict
from meshproof.upgrade.flows import NAMESPACE, Client
from meshproof.upgrade.plan import (
    BACK,
    GATEWAYS_IN_PLACE,
    MIXED,
    NEW,
    NEW_CONTROL_PLANE,
    NEW_GATEWAYS,
    ON_A_NEW_CLUSTER,
    REPLACED_CONTROL_PLANE,
)
from meshproof.upgrade.steps import revision_of

_ISTIO, _ENVOY, _REVISION = "Istio", "Envoy", "revision"
_LAST = (NEW, BACK, ON_A_NEW_CLUSTER)
_OF_GATEWAYS = tuple(f"{PROXY}{istio.NAMESPACE}/{name}: " for name in DEPLOYMENTS)
_OF_THE_FIRST, _OF_THE_LAST = (
    tuple(f"{PROXY}{NAMESPACE}/{name}: " for name in names)
    for names in ((Client.NEW.app, Client.OLD.server), (Client.OLD.app, Client.NEW.server))
)
"""What the facts of proxies begin with that go over in the first half, and of those that do in the last."""
_MOST = 5  # proxies that a sentence names
_TO_DO = {
    NEW_GATEWAYS: "Look for what pins the tag, the image or the revision of the gateways, such as an overlay.",
    MIXED: "Look for what pins their tag, image or revision, such as a label of their namespace, and where the tag of "
    "revisions leads.",
    NEW: "Look for what pins their tag, image or revision, such as an overlay, an annotation of the pods or a label of "
    "their namespace. Only Deployments are restarted: restart what else has sidecars, and upgrade again.",
    BACK: "Restart what keeps these pods running, with the old control plane there, and look for what pins their tag, "
    "image or revision.",
}
_TO_DO |= {GATEWAYS_IN_PLACE: _TO_DO[NEW_GATEWAYS], ON_A_NEW_CLUSTER: _TO_DO[NEW]}
_ABOUT_ISTIOD = (
    "Look at the Deployments of istiod in its namespace, and for an overlay that pins their tag, image or revision."
)
_ABOUT_WEBHOOKS = (
    "Have the revision tag lead to the istiod that is there (`istioctl tag set`), or delete the configuration that is "
    "named here."
)


def unfinished(evidence: Evidence) -> Iterator[Finding]:
    """Yield what does not hold in a state that was looked at.

    After the control plane its new istiod is there, after the gateways they are new; of mixed sidecars those of the
    traffic's first half are new and the others as they were; at the end all proxies and istiods are new, and no other
    istiod is there; after a rollback they are as they were. At the end, and after a rollback, no webhook leads to
    nobody.
    """
    for visit in evidence.visits[1:]:
        yield from _proxies(evidence, visit)
        yield from _istiods(evidence, visit)
        if visit.state in _LAST:
            yield from _webhooks(visit)


def _proxies(evidence: Evidence, visit: Visit) -> Iterator[Finding]:
    """What is alike of several proxies is one finding."""
    wrong: dict[str, list[tuple[str, str]]] = {}
    for name, due in _due_of_proxies(evidence, visit).items():
        value = visit.facts[name]
        if value != due and not value.startswith(UNKNOWN):
            proxy, _, what = name.removeprefix(PROXY).rpartition(": ")
            wrong.setdefault(proxy, []).append((f"{what} {value}", f"{what} {due}"))
    alike: dict[tuple[str, str], list[str]] = {}
    for proxy, parts in wrong.items():
        values, dues = (", ".join(side) for side in zip(*parts, strict=True))
        alike.setdefault((values, dues), []).append(proxy)
    for (values, dues), proxies in alike.items():
        names = ", ".join(proxies[:_MOST]) + (f" and {len(proxies) - _MOST:,} more" if proxies[_MOST:] else "")
        text = f"The proxy of {names} has {values} in {visit.state}, and should have {dues}."
        yield _finding(visit, f"{PROXY}{proxies[0]}", text, _TO_DO[visit.state])


def _due_of_proxies(evidence: Evidence, visit: Visit) -> dict[str, str]:
    """Return what the facts on proxies in a state must be, of those that there are."""
    state, first = visit.state, evidence.visits[0].facts
    parts = tuple(f": {what}" for what in (_ISTIO, _ENVOY, _REVISION))
    names = [name for name in visit.facts if name.startswith(PROXY) and name.endswith(parts)]
    as_before = {name: first[name] for name in names if not first.get(name, UNKNOWN).startswith(UNKNOWN)}
    if state == BACK:
        return as_before
    stayed: dict[str, str] = {}
    if state in {NEW_GATEWAYS, GATEWAYS_IN_PLACE}:
        names = [name for name in names if name.startswith(_OF_GATEWAYS)]
    elif state == MIXED:
        stayed = {name: value for name, value in as_before.items() if name.startswith(_OF_THE_LAST)}
        names = [name for name in names if name.startswith(_OF_THE_FIRST)]
    elif state not in {NEW, ON_A_NEW_CLUSTER}:
        return {}
    due = {
        _ISTIO: evidence.after.istio,
        _ENVOY: evidence.after.envoy,
        _REVISION: _new_revision(evidence),
    }
    return stayed | {name: value for name in names if (value := due[name.rpartition(": ")[2]])}


def _istiods(evidence: Evidence, visit: Visit) -> Iterator[Finding]:
    there = _istiods_of(visit.facts)
    if not there:
        return
    for name, due in _due_of_istiods(evidence, visit.state, there).items():
        value = there.get(name, "")
        if value != due:
            has = f"is of Istio {value}" if value else "is not there"
            should = f"should be of Istio {due}" if due else "should be gone"
            text = f"The istiod of the revision {name.removeprefix(ISTIOD)} {has} in {visit.state}, and {should}."
            yield _finding(visit, name, text, _ABOUT_ISTIOD)


def _due_of_istiods(evidence: Evidence, state: State, there: Mapping[str, str]) -> dict[str, str]:
    """Return of what release each istiod in a state must be; empty where it is to be gone."""
    first, revision = _istiods_of(evidence.visits[0].facts), _new_revision(evidence)
    new = {f"{ISTIOD}{revision}": evidence.after.istio}
    if state == BACK:
        return dict.fromkeys(there, "") | first if first else {}
    if state in {NEW_CONTROL_PLANE, NEW_GATEWAYS}:
        return new
    if state == NEW and revision:
        return dict.fromkeys(there, "") | new
    if state in {NEW, REPLACED_CONTROL_PLANE, GATEWAYS_IN_PLACE, ON_A_NEW_CLUSTER}:
        return dict.fromkeys(there, evidence.after.istio)
    return {}


def _istiods_of(facts: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in facts.items() if name.startswith(ISTIOD) and not value.startswith(UNKNOWN)}


def _webhooks(visit: Visit) -> Iterator[Finding]:
    for name, value in visit.facts.items():
        if name.startswith(WEBHOOK) and LEADS_NOWHERE in value:
            text = f"The {name} does not lead to a ready istiod in {visit.state}; it {value}."
            yield _finding(visit, name, text, _ABOUT_WEBHOOKS)


def _new_revision(evidence: Evidence) -> str:
    """Return the revision of what is new; empty where that has none of its own."""
    return revision_of(evidence.after.istio) if evidence.strategy is Strategy.CANARY else ""


def _finding(visit: Visit, subject: str, text: str, to_do: str) -> Finding:
    return Finding(Verdict.DID_NOT_FINISH, subject, visit.state, text, to_do, visit.reached_ns)

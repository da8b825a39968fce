"""What an upgrade is about, before it is begun: in sentences, each with its name."""

from __future__ import annotations

from collections.abc import Iterator

from meshproof.upgrade.acknowledgements import known
from meshproof.upgrade.checking import Checked
from meshproof.upgrade.evidence import Side, Strategy
from meshproof.upgrade.flows import NAMES
from meshproof.upgrade.order import Order
from meshproof.upgrade.plan import minutes
from meshproof.upgrade.probes import NAMES as PROBES
from meshproof.upgrade.rates import NEEDED, USUAL
from meshproof.upgrade.summary import rows_by_module, scope_of
from meshproof.upgrade.support import support_of

_OBSERVED = (
    "the posture of each listener, istioctl analyze, which proxies are in step, what they have loaded and refused, "
    "identities and roots, webhooks, and the versions of kinds; what both ends of a request see, on each way"
)


def preview_of(ready: Checked) -> Iterator[tuple[str, str]]:
    """Yield what there is to be said, each with its name."""
    order = ready.order
    least, most = minutes(order.stages)
    yield (
        "Time",
        f"About {least} to {most} min on two processors, with bringing the cluster up, once the images are there.",
    )
    for name, side in (("Before", order.before), ("After", order.after)):
        yield name, _side(side)
    yield "Scope", " ".join(scope_of(order.before, order.after, order.images))
    yield "Rows in each state", f"{rows_by_module(ready.rows)}."
    yield "The mesh in each state", f"{_OBSERVED}."
    meanwhile = "while it is looked at" if order.strategy is Strategy.NEW_CLUSTER else "all the while"
    yield f"Traffic {meanwhile}", f"{'; '.join(NAMES)}. From a pod nothing is sent while its half is restarted."
    yield f"What must be refused, {meanwhile}", f"{'; '.join(PROBES)}."
    often = (
        f"{USUAL.kept:g} requests a second of each flow on kept connections, {USUAL.new:g} of each on new ones, and "
        f"{USUAL.tries:g} tries of each thing that must be refused; fewer where that leaves the processors less than "
        f"{NEEDED:.0%} of their time."
    )
    yield "How often", often
    yield "Beside the mesh", "a control client, and how busy the machine is."
    budget = order.budget
    lost = f"{budget.failures:,} request{'s' * (budget.failures != 1)}"
    yield "Budget of each flow", f"{lost} lost (--lost), and no gap above {budget.longest_ms:,.0f} ms (--gap)."
    yield "Acknowledged", _acknowledged(order)
    if support := support_of(order.before, order.after, order.strategy):
        yield "Support", support
    if ready.unlooked:
        releases = " and ".join(ready.unlooked)
        yield "Overlays", f"istioctl {releases} is not on this machine yet, and has not looked at them."


def _side(side: Side) -> str:
    envoy = side.envoy or "of its images"
    overlays = ", ".join(side.overlays) or "none"
    return f"Istio {side.istio}, Envoy {envoy}, Kubernetes {side.kubernetes}; overlays: {overlays}."


def _acknowledged(order: Order) -> str:
    """Return how many changes are acknowledged, and which ones are known of these releases."""
    theirs = order.acknowledgements
    others = sum(not entry.holds_for(order.before.istio, order.after.istio) for entry in theirs)
    mine = f"{len(theirs):,} of yours{f', {others:,} of them for other releases' if others else ''}"
    facts = [entry.fact for entry in known() if entry.holds_for(order.before.istio, order.after.istio)]
    return f"{mine} (--acknowledge); and what is known of such upgrades: {'; '.join(facts)}."

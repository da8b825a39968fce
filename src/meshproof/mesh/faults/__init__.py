"""Faults in manifests, looked for before anything is applied.

A slip in a manifest is quick to make and slow to find: a Gateway on a port that is not there, or a route to a Service
of another name, is taken by the API without a word, and a test waits for it in vain. Here each fault is one sentence,
with the file and the line. What only the API knows (a field that a kind does not have, a value that Istio refuses) it
says when a scenario begins, before any of its documents is applied: see ``Kube.check``.

Source of the kinds: https://istio.io/latest/docs/reference/config/networking/ and ``…/security/``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from meshproof.certificates.tree import Certificates
from meshproof.errors import FaultyManifests, Unreadable
from meshproof.input_files import nearest
from meshproof.mesh.effects.refusals import IN_VAIN, INSTEAD, is_marked_in_vain, why_unwaited
from meshproof.mesh.faults.destinations import destination_rule, gateway_api_route, service_entry, sidecar
from meshproof.mesh.faults.document import Written
from meshproof.mesh.faults.gateways import gateway
from meshproof.mesh.faults.parts import at
from meshproof.mesh.faults.policies import authorization_policy, peer_authentication, request_authentication, telemetry
from meshproof.mesh.faults.routes import virtual_service
from meshproof.mesh.faults.workloads import definition, deployment, secret, service
from meshproof.mesh.faults.world import World, read
from meshproof.mesh.manifests import STEP, WAIT
from meshproof.project import as_typed_here

__all__ = ["check"]

_Check = Callable[[Written, World], Iterator[str]]
_CHECKS: Mapping[str, _Check] = {
    "Gateway": gateway,
    "VirtualService": virtual_service,
    "DestinationRule": destination_rule,
    "ServiceEntry": service_entry,
    "Sidecar": sidecar,
    "AuthorizationPolicy": authorization_policy,
    "PeerAuthentication": peer_authentication,
    "RequestAuthentication": request_authentication,
    "Telemetry": telemetry,
    **dict.fromkeys(("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"), gateway_api_route),
    "Service": service,
    "Secret": secret,
    "Deployment": deployment,
}
_DEFINITIONS = dict.fromkeys(("Secret", "ServiceEntry"), definition)


def check(
    applications: Sequence[Path], scenarios: Mapping[Path, Collection[str] | None], certificates: Certificates
) -> None:
    """Look for faults in the manifests of the applications, and in those of scenarios beside them.

    Args:
        applications: The files of the world that all scenarios share.
        scenarios: The file of each scenario, with the steps that its rows ask for; None if that is not known.
        certificates: What a Secret can name, beside what its own manifest and the applications define.

    Raises:
        FaultyManifests: With all of them.
    """
    of_all = certificates.scope()
    shared = World(certificates.scope(), of_all)
    sentences = list(read(applications, shared))
    if not sentences:  # else each scenario would say it again
        sentences += _faults_of(shared, shared.documents)
        for file, steps in scenarios.items():
            world = World(shared.certificates.scope(), of_all, list(shared.documents))
            unreadable = list(read([file], world))
            own = world.documents[len(shared.documents) :]
            sentences += unreadable or _faults_of(world, own) or _unwaited(own)
            sentences += () if unreadable or steps is None else _steps_of_nobody(file, steps, own)
    if sentences:
        raise FaultyManifests("\n".join(dict.fromkeys(sentences)))


def _faults_of(world: World, documents: Sequence[Written]) -> list[str]:
    """Return the faults of documents, each on its own and with the rest of its world, as sentences."""
    sentences = [
        document.fault(
            f"is in the namespace {document.namespace}, which no manifest makes: "
            f"{nearest(document.namespace, world.namespaces())}",
            at(document.node, "metadata", "namespace"),
        )
        for document in documents
        if document.namespace and document.namespace not in world.namespaces()
    ]
    if sentences:  # what refers to one of these would be said to be wrong as well
        return sentences
    deployments = [document for document in documents if document.kind == "Deployment"]
    others = [document for document in documents if document.kind != "Deployment"]
    return (
        _checked(world, documents, _DEFINITIONS)
        or _checked(world, deployments, _CHECKS)
        or _checked(world, others, _CHECKS)
    )


def _checked(world: World, documents: Sequence[Written], checks: Mapping[str, _Check]) -> list[str]:
    """Return the faults of documents; where one lacks what it has to have, no others, for they may come of that."""
    shapeless: list[str] = []
    sentences: list[str] = []
    for document in documents:
        try:
            if document.kind in checks and not (document.kind == "Gateway" and document.is_of_gateway_api):
                sentences += checks[document.kind](document, world)
        except Unreadable as error:
            shapeless.append(str(error))
    return shapeless or sentences


def _unwaited(documents: Sequence[Written]) -> Iterator[str]:
    """Yield a sentence for each document that can't be waited for, and for each that says so and could be."""
    always = {str(document): document for document in documents if document.step is None}
    companies = [
        {**always, **{str(document): document for document in documents if document.step == step}}
        for step in dict.fromkeys(document.step for document in documents)
    ]
    for document in documents:
        mine = [
            [other.content for other in company.values()]
            for company in companies
            if company.get(str(document)) is document
        ]
        for why in (why_unwaited(document.content, together) for together in mine):
            if why:
                yield document.fault(f"can't be waited for: {why}. {INSTEAD}".rstrip("."))
        if is_marked_in_vain(document.content, *mine):
            yield document.fault(IN_VAIN, at(document.node, "metadata", "annotations", WAIT))


def _steps_of_nobody(file: Path, steps: Collection[str], documents: Sequence[Written]) -> Iterator[str]:
    """Yield a sentence for each step that has rows and no documents, or documents and no rows."""
    there = {document.step for document in documents if document.step}
    missing = sorted(set(steps) - there)
    for step in missing:
        near = nearest(step, there)
        yield f"{as_typed_here(file)}: rows ask for the step {step}, and no document has its label: {near}."
    for document in documents:
        if not missing and document.step and document.step not in steps:
            yield document.fault(
                f"belongs to the step {document.step}, and no row asks for it: {nearest(document.step, steps)}",
                at(document.node, "metadata", "labels", STEP),
            )

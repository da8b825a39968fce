"""What is wrong with what istioctl and kind are given."""

from __future__ import annotations

from collections.abc import Iterator

from meshproof.cluster.kind import CONFIGURATION
from meshproof.mesh import istio
from meshproof.mesh.faults.parts import list_at, value_at
from meshproof.posture.reading import Unreadable, yaml_documents
from meshproof.project import as_typed_here


def faults_of_the_installation() -> Iterator[str]:
    """Say what is wrong with what istioctl and kind are given: whether it is YAML, and has the gateway's ports."""
    for file in (*sorted(istio.MANIFESTS.glob("*.yaml")), CONFIGURATION):
        try:
            count = len(yaml_documents(as_typed_here(file)))
        except Unreadable as error:
            yield str(error)
            return
        if count != 1:
            yield f"{as_typed_here(file)}: there should be one document in it, and there are {count or 'none'}."
            return
    operator = as_typed_here(istio.MANIFESTS / "operator.yaml")
    try:
        node_ports, _ = istio.gateway_ports().values(), istio.gateway_target_ports()
    except (LookupError, TypeError, ValueError):
        yield (
            f"{operator}: there should be one ingress gateway, whose Service has `ports` with a `port`, a `targetPort` "
            "and a `nodePort` each, under spec.components.ingressGateways."
        )
        return
    (cluster,) = yaml_documents(as_typed_here(CONFIGURATION))
    try:
        nodes = list_at(cluster, "nodes")
        mapped = [value_at(port, "containerPort") for node in nodes for port in list_at(node, "extraPortMappings")]
    except Unreadable as error:
        yield str(error)
        return
    if missing := sorted(set(node_ports) - set(mapped)):
        ports = ", ".join(map(str, missing))
        yield f"{cluster.file}: extraPortMappings lacks node ports of the gateway ({operator}): {ports}."

"""The configuration that kind is given.

Source: https://kind.sigs.k8s.io/docs/user/configuration/
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from meshproof.cluster.gateway_ports import PORTS
from meshproof.cluster.kind.mirrors import IN_THE_NODE
from meshproof.docker import capability_runtime

CONFIGURATION = Path(__file__).with_name("kind.yaml")


def kind_configuration(*, own_cni: bool, mirrors: Path | None = None) -> dict[str, Any]:
    """Return kind's configuration for this machine.

    Args:
        own_cni: Whether the node image brings the network of pods.
        mirrors: The directory that says what the node asks in place of a registry, if there is one.
    """
    configuration: dict[str, Any] = yaml.safe_load(CONFIGURATION.read_text())
    (node,) = configuration["nodes"]
    # A host port of -1 lets Docker choose a free one.
    node["extraPortMappings"] = [
        {"containerPort": port.node, "hostPort": -1, "listenAddress": "127.0.0.1"} for port in PORTS
    ]
    if mirrors:
        node["extraMounts"] = [{"hostPath": str(mirrors), "containerPath": IN_THE_NODE, "readOnly": True}]
    if own_cni:
        configuration.setdefault("networking", {})["disableDefaultCNI"] = True
    if capability_runtime.missing_capabilities():
        # Without CAP_SYS_RESOURCE the kubelet can't raise limits; this gate makes it carry on.
        gates = {"featureGates": {"KubeletInUserNamespace": True}}
        kubelet = {"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1", **gates}
        configuration.setdefault("kubeadmConfigPatches", []).append(yaml.safe_dump(kubelet))
    return configuration

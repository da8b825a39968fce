"""What of a pod's traffic is led to its proxy."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import pairwise

from meshproof.cluster.objects import Document

_INIT = "istio-init"
_CAPTURE = {
    "-b": "inbound",
    "-d": "inbound_left",
    "-q": "outbound",
    "-o": "outbound_left",
    "-i": "ranges",
    "-x": "ranges_left",
}
"""What pilot-agent's istio-iptables is given. Source: https://istio.io/latest/docs/reference/commands/pilot-agent/"""


@dataclass(frozen=True, slots=True)
class Capture:
    """What of a pod's traffic is led to its proxy: lists as istio-iptables takes them, ``*`` is everything."""

    inbound: str = "*"
    inbound_left: str = ""
    outbound: str = ""
    outbound_left: str = ""
    ranges: str = "*"
    ranges_left: str = ""

    @classmethod
    def of(cls, pod: Document) -> Capture | None:
        """Read it from what the pod was started with; None if that does not say."""
        for container in pod["spec"].get("initContainers") or []:
            if container["name"] == _INIT:
                words = [str(word) for word in container.get("args") or []]
                options = dict(pairwise(words))
                return cls(**{name: options[option] for option, name in _CAPTURE.items() if option in options})
        return None

    def lets_in(self, port: int) -> bool:
        """Return whether what comes in at a port reaches the application beside the proxy."""
        return port in _ports(self.inbound_left) or (self.inbound != "*" and port not in _ports(self.inbound))

    def lets_out(self, port: int, address: str) -> bool:
        """Return whether what goes out to a port of an address leaves beside the proxy."""
        if port in _ports(self.outbound):
            return False
        in_range = self.ranges == "*" or _is_in(address, self.ranges)
        return port in _ports(self.outbound_left) or _is_in(address, self.ranges_left) or not in_range


def _ports(text: str) -> set[int]:
    return {int(word) for word in text.split(",") if word.strip().isdigit()}


def _is_in(address: str, ranges: str) -> bool:
    words = [word for word in ranges.split(",") if word]
    return any(ip_address(address) in ip_network(word, strict=False) for word in words)

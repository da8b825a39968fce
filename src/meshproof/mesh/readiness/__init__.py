"""Who would lose connectivity if STRICT were switched on now, and why.

pods       pods, and what keeps them
capture    what of a pod's traffic is led to its proxy
services   which ports of Services lead to which of pods
modes      what PeerAuthentication says of a pod
world      the objects that there are
exposure   what STRICT changes at the ports of a server
clients    why a pod has no sidecar, and where a proxy sends plaintext: by configuration
counters   what the proxies have seen
callers    the clients that would be refused
questions  the way to ask many proxies
verdicts   what the traffic of a server comes to
inquiry    all of it put together
answer     what comes of it
"""

from meshproof.mesh.readiness.answer import Client, Note, Readiness, Server, Verdict
from meshproof.mesh.readiness.callers import ANY_SERVER
from meshproof.mesh.readiness.counters import ConnectionCounts, connections
from meshproof.mesh.readiness.inquiry import readiness_of

__all__ = [
    "ANY_SERVER",
    "Client",
    "ConnectionCounts",
    "Note",
    "Readiness",
    "Server",
    "Verdict",
    "connections",
    "readiness_of",
]

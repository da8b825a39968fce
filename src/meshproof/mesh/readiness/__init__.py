"""Who would lose connectivity if STRICT were switched on now, and why.

workloads  pods, by what keeps them; what of their traffic is led to their proxy
modes      what PeerAuthentication says of a pod
clients    who sends plaintext: by configuration
traffic    what the proxies have seen
world      the objects that there are
inquiry    all of it put together
answer     what comes of it
"""

from meshproof.mesh.readiness.answer import Client, Note, Readiness, Server, Verdict
from meshproof.mesh.readiness.inquiry import ANY_SERVER, readiness_of
from meshproof.mesh.readiness.traffic import Connections, connections

__all__ = [
    "ANY_SERVER",
    "Client",
    "Connections",
    "Note",
    "Readiness",
    "Server",
    "Verdict",
    "connections",
    "readiness_of",
]

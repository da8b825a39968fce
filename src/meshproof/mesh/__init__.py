"""The mesh: Istio, what it is asked for, and what its proxies have made of that.

istio        its installation
gateways     the gateways that Istio brings
analysis     what istioctl finds wrong in a cluster, or in files
envoy        what a proxy has loaded
effects      what documents do to the proxies, and waiting until they do
manifests    the documents, completed as data
faults       faults in them, found before anything is applied
scenario     one manifest in force, in steps
testbed      Docker, images, a cluster, Istio and the applications, one on top of the other
workload     a client in a pod
workload_certificate  what a proxy shows in the mesh, and who signed it
plugged_authority  whose key signs it, and which roots proxies trust: plugged in, and changed
access_log   what became of a request at a proxy
forwarded    whose certificates a request came by, as proxies tell the application
diagnostics  what helps to find out why something failed
"""

from meshproof.cluster.external import ExternalServer
from meshproof.mesh.access_log import Logged, ProxyEnd, logged
from meshproof.mesh.forwarded import peers
from meshproof.mesh.scenario import Scenario
from meshproof.mesh.testbed import Testbed
from meshproof.mesh.workload import CurlEnd, Transfer, Workload

__all__ = [
    "CurlEnd",
    "ExternalServer",
    "Logged",
    "ProxyEnd",
    "Scenario",
    "Testbed",
    "Transfer",
    "Workload",
    "logged",
    "peers",
]

"""Docker, and what its containers are on this machine.

engine              the daemon that is there, or a private one
version             whether a daemon answers
another             signs of a Docker that is not ours
private             the private daemon, as long as somebody needs it
dockerd             its processes
leftovers           the processes, cgroups and interfaces of a container
capability_runtime  an OCI runtime for machines whose root lacks a capability
"""

from meshproof.docker.another import sign_of_another
from meshproof.docker.engine import Docker, daemon
from meshproof.docker.version import INSTALL, server_version

__all__ = ["INSTALL", "Docker", "daemon", "server_version", "sign_of_another"]

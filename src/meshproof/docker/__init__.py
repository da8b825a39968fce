"""Docker, and what its containers are on this machine.

engine              the daemon that is there, or a private one
leftovers           the processes, cgroups and interfaces of a container
capability_runtime  an OCI runtime for machines whose root lacks a capability
"""

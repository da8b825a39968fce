"""Whether a Docker daemon answers, and how Docker is installed where there is none."""

from __future__ import annotations

from meshproof.errors import CommandFailed, ToolMissing
from meshproof.machine import process
from meshproof.settings import TIMEOUTS

INSTALL = "apt-get install --no-install-recommends docker.io iptables"


def server_version(env: dict[str, str]) -> str | None:
    """Return the version of the daemon that the environment leads to, or None where none answers."""
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    try:
        return process.run(command, env=env, timeout=TIMEOUTS.docker_answer).strip() or None
    except CommandFailed:
        return None
    except ToolMissing as error:
        raise ToolMissing(
            "Tried to run `docker`: it is not installed. As root on Debian or Ubuntu, `meshproof doctor --fix` "
            f"installs it; elsewhere install Docker, for example with `{INSTALL}`."
        ) from error

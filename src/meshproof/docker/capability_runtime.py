"""An OCI runtime for machines whose root lacks a capability: asks runc for what can be had.

Docker asks for every capability for a privileged container, and runc refuses
the whole container when one of them is missing from the bounding set. This
program takes the missing ones out of the container's (or of the command's)
configuration and then becomes runc. It is started by Docker's shim, once for
each container and each `docker exec`, hence the standard library only and few
imports.

Source: the OCI runtime specification, `config.json`, `process.capabilities`;
capabilities(7) for the order of the bits.
"""

import json
import os
import sys
from pathlib import Path

CAPABILITIES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT
    SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP
    MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
""".split()  # noqa: SIM905 - a list of forty strings is no easier to read
"""By their number, 0 first."""


def missing_capabilities() -> set[str]:
    """Return what this process can never have, as ``CAP_…`` names."""
    status = Path("/proc/self/status").read_text().splitlines()
    bounding = next(int(line.split()[1], 16) for line in status if line.startswith("CapBnd:"))
    return {f"CAP_{name}" for bit, name in enumerate(CAPABILITIES) if not bounding >> bit & 1}


def install(directory: Path) -> Path:
    """Write the runtime into a directory, whole, and return the program that Docker is to be told.

    A cluster that is kept may outlive the checkout that made it, and its virtual environment: neither is named.
    """
    script, program = directory / "capability_runtime.py", directory / "runtime"
    script.write_text(Path(__file__).read_text())
    python = Path(sys.executable).resolve()  # the one that the virtual environment was made with
    program.write_text(
        f'#!/bin/sh\nfor python in "{python}" /usr/bin/python3 python3; do\n'
        f'  command -v "$python" >/dev/null && exec "$python" -ISE "{script}" "$@"\ndone\n'
        f'echo "there is no Python to run {script}" >&2\nexit 1\n'
    )
    program.chmod(0o700)
    return program


def _take_out(path: Path, missing: set[str]) -> None:
    """Take the missing capabilities out of a container's ``config.json`` or a command's process file."""
    document = json.loads(path.read_text())
    for granted in (document.get("process", document).get("capabilities") or {}).values():
        granted[:] = [name for name in granted if name not in missing]
    path.write_text(json.dumps(document))


def main() -> None:
    """Do what runc is asked to, less the missing capabilities."""
    missing = missing_capabilities()
    for flag, value in zip(sys.argv, sys.argv[1:], strict=False):
        if flag in ("--bundle", "-b"):
            _take_out(Path(value, "config.json"), missing)
        elif flag in ("--process", "-p"):
            _take_out(Path(value), missing)
    os.execvp("runc", ["runc", *sys.argv[1:]])  # noqa: S606 - becoming runc is what this is for


if __name__ == "__main__":
    main()

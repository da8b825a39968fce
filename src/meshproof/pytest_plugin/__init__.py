"""The pytest plugin: fixtures for tests of a mesh.

Below, each fixture with its scope, and the module that it is in:

mesh_settings (session, options)  what the options ask for
└─ testbed (session, mesh)  a mesh that is ready
   ├─ kind_cluster (session, mesh)  its cluster, by pytest-kind's name
   ├─ gateway (session, mesh)  the ingress gateway's addresses, by port
   ├─ certificates (session, mesh)  what servers and clients show, by role
   ├─ meshed, unmeshed (session, mesh)  clients inside the cluster, with a sidecar and without
   ├─ traffic_calibration (session, recordings)  what the recorder saw of losses that were made on purpose
   │  └─ traffic (session, recordings)  records requests, one by one
   └─ mesh_manifest (module, scenarios)  the manifest of the test module's name, in force
      ├─ mesh_reached (module, scans)  each of the module's SERVERS shows this run's certificate
      └─ scenario (module, scenarios)  the same, with the step that a row is marked with
         ├─ external (test, scenarios)  its servers outside of the mesh
         ├─ step (module, scenarios)  puts a step of it in force within a test or a fixture
         ├─ sslyze_scan (module, scans)  what a scan of the module's SERVERS by sslyze finds, beside the rows
         └─ postures (module, scans)  what a scan of ours finds there
            └─ second_opinions (module, scans)  the cipher suites by both scans
measured (module, tables)  a table that the module's rows fill, for people
mesh_patience (session, scenarios)  what the run may wait in vain, all together
eventually (session, scenarios)  observe until it is as expected, three times in a row

Where pytest is run in a directory that is no project of meshproof's (see ``meshproof.project``) there are its options,
and nothing else: no fixture, no marker and no module of it is loaded.
"""

from __future__ import annotations

from importlib import import_module

import pytest

_PARTS = (
    "promises",
    "options",
    "mesh",
    "scenarios",
    "order",
    "scans",
    "evidence",
    "faults",
    "recordings",
    "tables",
    "since",
    "one_process",
)
"""`promises` is the first: it forgets the result of the last run before an option can end this one."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what pytest-kind does not have; --cluster-name, --keep-cluster, --kind-image and --kind-bin are its."""
    group = parser.getgroup("meshproof")
    sources = ("auto", "registry", "packages")
    group.addoption("--mesh-images", choices=sources, default="auto", help="Where images come from (default: auto)")
    group.addoption("--mesh-istio", metavar="VERSION", help="Release of Istio")
    group.addoption("--mesh-kubernetes", metavar="VERSION", help="Release of Kubernetes")
    group.addoption("--mesh-envoy", metavar="VERSION", help="Release of Envoy, for images built from packages")
    group.addoption("--mesh-shuffle", type=int, metavar="SEED", help="Run modules and rows in an order of this number")


def pytest_configure(config: pytest.Config) -> None:
    """Load the rest where there is a project."""
    from meshproof.errors import BadProject  # noqa: PLC0415 - nobody pays for it who does not use it
    from meshproof.project import current_project  # noqa: PLC0415 - as above

    try:
        used = current_project().declared
    except BadProject as error:
        raise pytest.UsageError(str(error)) from error
    if not used:
        return
    for part in (f"{__name__}.{part}" for part in _PARTS):
        if not config.pluginmanager.has_plugin(part):
            try:
                module = import_module(part)
            except ModuleNotFoundError as error:
                raise pytest.UsageError(
                    f"{current_project().root} is a project of meshproof's, and its tests need {error.name}, "
                    "which is not installed: install meshproof with its extra `pytest`."
                ) from error
            config.pluginmanager.register(module, part)

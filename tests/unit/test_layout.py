"""The rules of the house, held against the files: who imports whom, what is called how, and what is nowhere."""

from __future__ import annotations

import ast
import os
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from meshproof import errors
from tests.support.checkout import ROOT, SCENARIOS

SOURCE = ROOT / "src" / "meshproof"
TEMPLATE = SOURCE / "template"  # what `meshproof init` writes: a user's files, not modules of ours
MODULES = {".".join(path.relative_to(SOURCE).with_suffix("").parts): path for path in SOURCE.rglob("*.py")}
MODULES = {
    name.removesuffix(".__init__"): path
    for name, path in MODULES.items()
    if name != "__init__" and TEMPLATE not in path.parents
}

LAYERS = [
    {"errors"},
    {"machine", "settings", "project", "catalogue", "versions", "input_files"},
    {"certificates", "tls", "http"},  # certificates and probes: no Docker, no Kubernetes
    {"posture"},  # how results are judged and compared
    {"report"},  # how they are shown and written
    {"docker"},
    {"images"},
    {"cluster"},
    {"mesh"},
    {"traffic"},  # requests that are recorded one by one
    {"pytest_plugin"},
    {"upgrade"},  # states, what is seen in them, the verdict
    {"cli"},
    {"testing"},
    {"__main__"},
]
"""The parts, lowest first: each may import from its own layer and from those below."""

LAYERS_OF_TLS = [{"protocol"}, {"probe"}, {"scanner"}]
"""The same inside of ``tls``: the octets, one connection, many connections."""

OPEN = {
    "certificates.authority",  # needs cryptography and trustme
    "certificates.leaf",  # needs no trustme
    "certificates.tree",
    "cli.main",
    "cluster.doctor",  # needs no Kubernetes, as those below
    "cluster.external",
    "cluster.objects",
    "cluster.gateway_ports",
    "docker.capability_runtime",
    "docker.leftovers",
    "images.choice",  # needs httpx
    "images.disk",
    "images.golang",
    "images.traffic",
    "machine",  # each module stands for itself: a command starts with few of them
    "mesh.analysis",
    "mesh.diagnostics",
    "mesh.envoy",
    "mesh.footprint",
    "mesh.gateways",
    "mesh.faults",
    "mesh.istio",
    "mesh.manifests",
    "mesh.plugged_authority",  # needs cryptography, as the one below
    "mesh.readiness",
    "mesh.scenario",
    "mesh.testbed",
    "mesh.workload_certificate",
    "pytest_plugin",  # each module is a plugin of pytest's; what tests import is in `testing`
    "posture.istio",  # needs nothing of a scan
    "report.document_schema",
    "report.junit",
    "report.templates",  # needs jinja2
    "report.wording",
    "tls.protocol.clients",
    "tls.scanner.sslyze",
    "traffic.drawing",
}
"""The modules, or packages with all in them, that other rooms import from beside what a package has in its ``__all__``.

A package that imported them itself would have everybody wait for what few need.
"""
BUILT_ON_PARTS = {
    "posture": {"tls"},
    "report": {"tls", "posture"},
    "upgrade": {"posture"},
    "cli": {"tls", "posture", "report"},
}
"""The rooms that judge and show what the parts of ``tls`` find, and those from whose every module each imports."""

ONLY_IN = {
    "subprocess": {"machine.process"},
    "kubernetes": {"cluster.kube"},
    "pytest_kind": {"cluster.kind"},
    "trustme": {"certificates"},
    "click": {"cli"},
    "sslyze": set[str](),  # it is under the AGPL: run as a process, never imported
    "pytest": {"pytest_plugin"},
    "tests": set[str](),
}
BESIDE_TESTING = {
    "gateway/seed": {"posture.spelling", "tls", "tls.protocol.clients"},  # what a table of clients says, in our words
    "gateway/test_mutual_tls": {"http", "tls", "tls.protocol.clients", "tls.protocol.hello", "tls.scanner.findings"},
    "gateway/test_passthrough": {"posture.istio", "tls", "tls.scanner.findings"},  # NGINX's suites
    "gateway/test_seed_commands": {  # looks at manifests, and runs programs
        "certificates.tree",
        "errors",
        "machine",
        "machine.undoing",
        "mesh",
        "project",
    },
    "gateway/test_tls_ciphers": {"posture.verdict", "tls"},  # what a scan would say of a suite
    "gateway/test_tls_versions": {"tls"},
}
"""What our own scenarios import beside ``testing``: parts of a scan that few tests need, and our look at files."""

NO_FAULT_OF_A_RUN = {"ValueError", "TypeError", "AttributeError", "Exit"}  # a caller's mistake; click's way to end
WITHIN_A_PROBE = {  # a probe reports it as an outcome
    "tls.probe.stream": {"Ended"},
    "tls.protocol.record": {"Malformed", "NotTls"},
    "tls.protocol.flight": {"Malformed", "Overlong"},
    "tls.protocol.ssl2": {"NotTls"},
    "tls.probe.encrypted": {"Malformed"},
    "tls.probe.decryption": {"Malformed", "Overlong"},
    "tls.probe.exchange": {"Malformed"},
}
NAMED_AS_THEIR_MODULE = {
    "cli.main.main",  # as every program's is
    "cli.scan.command.command",  # as every command is
}
FOR_ANYTHING = {"utils", "util", "helpers", "common", "constants", "misc"}
KEY = b"PRIVATE KEY" + b"-----"
THROWN_AWAY = {"artifacts", "__pycache__", "node_modules", "dist", "build"}


@cache
def tree(path: Path) -> ast.Module:
    """Parse a file."""
    return ast.parse(path.read_text())


def imports(path: Path) -> Iterator[str]:
    """Give the full name of everything that a file imports, also inside of functions."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def files(*ends: str) -> Iterator[Path]:
    """Give the files of the checkout, but for what is generated or belongs to tools."""
    for directory, names, found in os.walk(ROOT):
        names[:] = [name for name in names if name not in THROWN_AWAY and not name.startswith(".")]
        yield from (Path(directory, name) for name in found if not ends or name.endswith(ends))


def test_every_part_has_its_layer() -> None:
    """A new module is put where it belongs in the table above, once."""
    assert Counter(part for layer in LAYERS for part in layer) == Counter({name.split(".")[0] for name in MODULES})


@pytest.mark.parametrize("module", sorted(MODULES))
def test_nobody_imports_from_above(module: str) -> None:
    """A module imports from its own layer and from lower ones."""
    above = set[str]().union(
        *LAYERS[next(n for n, layer in enumerate(LAYERS) if module.split(".", maxsplit=1)[0] in layer) + 1 :]
    )
    ours = {name.split(".", 2)[1] for name in imports(MODULES[module]) if name.startswith("meshproof.")}
    assert ours & above == set()


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name.startswith("tls.") and name.count(".") > 1))
def test_nobody_in_tls_imports_from_above(module: str) -> None:
    """What is about one connection knows nothing of scans, and what is about octets nothing of connections."""
    room = module.split(".")[1]
    above = {each for layer in LAYERS_OF_TLS[LAYERS_OF_TLS.index({room}) + 1 :] for each in layer}
    names = {name.split(".")[2] for name in imports(MODULES[module]) if name.startswith("meshproof.tls.")}
    assert names & above == set()
    assert [
        name for name in imports(MODULES[module]) if name.startswith("meshproof.tls.") and name.count(".") < 3
    ] == []


@cache
def public_names(package: str) -> set[str]:
    """Return what a package has in its ``__all__``."""
    lists = [
        node.value
        for node in tree(MODULES[package]).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    ]
    return set(ast.literal_eval(lists[0])) if lists else set()


def is_open(name: str) -> bool:
    """Return whether any room may import a name: it is in the ``__all__`` of a package, or in an open module."""
    module, _, imported = (name, "", "") if name in MODULES else name.rpartition(".")
    if any(f"{module}.".startswith(f"{each}.") for each in OPEN):
        return True
    if MODULES[module].name == "__init__.py" and imported:
        return imported in public_names(module)
    return "." not in module


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_room_is_entered_by_its_door(module: str) -> None:
    """Another room imports what a package has in its ``__all__``, or from a module that is open to all."""
    names = {name.removeprefix("meshproof.") for name in imports(MODULES[module]) if name.startswith("meshproof.")}
    room = module.split(".", maxsplit=1)[0]
    entered = {room} | BUILT_ON_PARTS.get(room, set())
    assert {name for name in names if name.split(".")[0] not in entered and not is_open(name)} == set()


def test_there_is_no_circle_of_imports() -> None:
    """A module can be imported, and read, after those that it imports."""
    names = {module: {name.removeprefix("meshproof.") for name in imports(path)} for module, path in MODULES.items()}
    graph = {
        module: {name if name in MODULES else name.rpartition(".")[0] for name in imported} & MODULES.keys()
        for module, imported in names.items()
    }
    TopologicalSorter(graph).prepare()  # CycleError names one


@pytest.mark.parametrize("package", ONLY_IN)
def test_a_package_is_imported_in_one_place(package: str) -> None:
    """What would tie everything to one package, or to pytest, is let in by one door only, or by none."""
    users = {module for module, path in MODULES.items() if package in {name.split(".")[0] for name in imports(path)}}
    assert [user for user in users if not any(f"{user}.".startswith(f"{door}.") for door in ONLY_IN[package])] == []


def test_a_scenario_is_a_test_and_a_manifest() -> None:
    """Each test module of the mesh has the manifest of its name, and each such manifest has its test module."""
    modules = (path.relative_to(ROOT / "tests" / "e2e") for path in (ROOT / "tests" / "e2e").rglob("test_*.py"))
    tests = {path.parent / path.stem.removeprefix("test_") for path in modules}
    assert tests == {path.relative_to(SCENARIOS).with_suffix("") for path in SCENARIOS.rglob("*.yaml")}


@pytest.mark.parametrize("path", sorted((ROOT / "tests" / "e2e").rglob("*.py")), ids=lambda path: path.stem)
def test_a_scenario_imports_from_testing(path: Path) -> None:
    """What a scenario of ours needs, somebody else's may need: it is in ``meshproof.testing``, or on the list."""
    names = {name.removeprefix("meshproof.") for name in imports(path) if name.startswith("meshproof.")}
    rooms = {name.rpartition(".")[0] for name in names} - {"testing"}
    module = str(path.relative_to(ROOT / "tests" / "e2e").with_suffix(""))
    assert rooms == BESIDE_TESTING.get(module, set())


def test_unit_tests_are_in_the_rooms_of_the_code() -> None:
    """Who looks for the tests of a module finds them in the directory of its name."""
    rooms = {path.parent.relative_to(ROOT / "tests" / "unit") for path in (ROOT / "tests" / "unit").rglob("test_*.py")}
    assert [room for room in rooms if not (SOURCE / room).is_dir()] == []


def test_a_fixture_is_defined_once() -> None:
    """Whoever reads a fixture's name has one place to look it up."""
    functions = [node for path in files(".py") for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef)]
    fixtures = [
        each.name for each in functions for mark in each.decorator_list if "pytest.fixture" in ast.unparse(mark)
    ]
    assert [name for name, count in Counter(fixtures).items() if count > 1] == []
    assert "testbed" in fixtures


def test_no_module_is_for_anything() -> None:
    """A module is named after what it is about."""
    assert [path for path in files(".py") if path.stem in FOR_ANYTHING] == []


def test_no_function_is_called_as_its_module() -> None:
    """Of a module and a function of one name, an import of the one hides the other; fixtures are functions too."""
    functions = {
        f"{module}.{node.name}": module
        for module, path in MODULES.items()
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    shadowing = {name for name, module in functions.items() if name.split(".")[-1] in module.split(".")}
    assert shadowing - NAMED_AS_THEIR_MODULE == set()


@cache
def errors_and_makers() -> set[str]:
    """Return the names of our errors and of the functions that make one."""
    nodes = [node for path in MODULES.values() for node in ast.walk(tree(path))]
    names = {"MeshproofError"}
    for _ in range(4):  # as deep as the tree of errors is, and one more
        bases = {
            node.name: {ast.unparse(base) for base in node.bases} for node in nodes if isinstance(node, ast.ClassDef)
        }
        names |= {name for name, above in bases.items() if above & names}
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef) and node.returns]
    return names | {each.name for each in functions if each.returns and ast.unparse(each.returns) in names}


def test_the_tree_of_errors_is_in_one_file() -> None:
    """What a user can act on is in errors.py; what a probe turns into an outcome stands beside the probe."""
    ours = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    others = {
        (module, node.name)
        for module, path in MODULES.items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef) and {"Exception", *ours} & {ast.unparse(base) for base in node.bases}
    }
    probes = {(module, name) for module, names in WITHIN_A_PROBE.items() for name in names}
    assert {(module, name) for module, name in others - probes if module != "errors"} == set()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_error_is_ours(module: str) -> None:
    """What goes wrong is raised as an error of the tree in errors.py, or as a caller's mistake, or raised again."""
    raised = [node.exc for node in ast.walk(tree(MODULES[module])) if isinstance(node, ast.Raise)]
    made = [ast.unparse(each.func).split(".")[-1] for each in raised if isinstance(each, ast.Call)]
    again = [each for each in raised if each is None or (isinstance(each, ast.Name) and each.id.islower())]
    makers = {"_ended"} if module in WITHIN_A_PROBE else set()
    allowed = errors_and_makers() | NO_FAULT_OF_A_RUN | WITHIN_A_PROBE.get(module, set()) | makers
    if module.startswith("pytest_plugin"):
        allowed |= {"UsageError", "Exception"}  # pytest's own, which end a run or a row
    assert [name for name in made if name not in allowed] == []
    assert len(made) + len(again) == len(raised)


def test_what_is_removed_for_good_is_below_our_mark() -> None:
    """Whole directories are removed by one function only, which looks for the mark first."""
    users = [module for module, path in MODULES.items() if "rmtree" in path.read_text()]
    assert users == ["machine.cache"]


def test_nobody_in_tls_ends_the_programs_of_others() -> None:
    """A probe may be one of many things that a process does: it ends what it has begun, and no more."""
    users = {module for module, path in MODULES.items() if "end_all" in path.read_text()}
    assert {module for module in users if module.startswith("tls.")} == set()


def test_no_private_key_is_in_a_file() -> None:
    """Certificates are made for a run: a key in the checkout is one that somebody will trust."""
    assert [path for path in files() if path.suffix != ".md" and KEY in path.read_bytes()] == []

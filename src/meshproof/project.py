"""What is tested: the repository whose manifests are applied, found from where a command or pytest is run.

It says where its files are in `[tool.meshproof]` of its pyproject.toml, relative to that:

    [tool.meshproof]
    scenarios = "manifests/scenarios"   # a manifest for each scenario
    applications = "manifests/apps"     # what all scenarios share
    certificates = "manifests/certificates.yaml"   # what servers and clients show; see certificates/tree.py
    artifacts = "artifacts"             # what a run leaves for people
    istio = "1.31.0"                    # what to bring up where nothing else is asked for; kubernetes and envoy, too

All of it can be left out; the values above are the defaults, but for the versions, which come with meshproof. Where the
environment variable MESHPROOF_ARTIFACTS names a directory, a run leaves there what it leaves.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from meshproof.errors import BadProject

PLACES = {
    "scenarios": "manifests/scenarios",
    "applications": "manifests/apps",
    "certificates": "manifests/certificates.yaml",
    "artifacts": "artifacts",
}
"""Where the files of a project are, if it does not say."""
COMPONENTS = ("istio", "kubernetes", "envoy")
"""What it can name the version of."""
_TOOL_OF_OURS = re.compile(rb"""^[ \t]*\[*[ \t]*["']?tool\b.*?meshproof""", re.DOTALL | re.MULTILINE)
"""Our name after a line that begins with ``tool``: what can still be told of a file that is no TOML."""


@dataclass(frozen=True, slots=True)
class Project:
    """A repository.

    Attributes:
        root: Its directory.
        scenarios: The directory of the scenarios' manifests.
        applications: The directory of the applications' manifests.
        certificates: The file of what servers and clients show.
        artifacts: The directory for what a run leaves.
        versions: The versions that it asks for, by component; only those that it names.
        declared: Whether it says that it is one, and not only nothing says otherwise.
    """

    root: Path
    scenarios: Path
    applications: Path
    certificates: Path
    artifacts: Path
    versions: Mapping[str, str]
    declared: bool

    @classmethod
    def of(cls, directory: Path) -> Project:
        """Return the project that a directory belongs to: the nearest one above it that says it is one.

        Where none does, the directory itself is one.

        Raises:
            BadProject: A pyproject.toml speaks of meshproof, and can't be understood.
        """
        for root in (directory, *directory.parents):
            tool = _tool(root / "pyproject.toml")
            if tool is not None:
                return cls._read(root, tool, declared=True)
        return cls._read(directory, {}, declared=False)

    @classmethod
    def _read(cls, root: Path, tool: Mapping[str, Any], *, declared: bool) -> Project:
        known = (*PLACES, *COMPONENTS)
        for name, value in tool.items():
            if name not in known:
                raise BadProject(
                    f"{root / 'pyproject.toml'}: [tool.meshproof] has {name!r}, which is not known; "
                    f"choose from {', '.join(known)}."
                )
            if not isinstance(value, str):
                raise BadProject(f"{root / 'pyproject.toml'}: {name} of [tool.meshproof] should be text.")
        where = {name: root / tool.get(name, default) for name, default in PLACES.items()}
        if elsewhere := os.environ.get("MESHPROOF_ARTIFACTS"):
            where["artifacts"] = Path(elsewhere).absolute()
        return cls(root, **where, versions={name: tool[name] for name in COMPONENTS if name in tool}, declared=declared)


def as_typed_here(path: Path) -> Path:
    """Return a path as a person would type it in the current directory."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _tool(file: Path) -> Mapping[str, Any] | None:
    """Return what a pyproject.toml says of meshproof; None if it says nothing, or is not there.

    A file that can't be read or understood and does not speak of meshproof is the business of others: they may well
    have meant it so (a template, say), and the plugin is loaded wherever pytest is run.

    Raises:
        BadProject: It speaks of meshproof, and can't be understood.
    """
    try:
        content = file.read_bytes()
    except OSError:
        return None
    try:
        tool = tomllib.loads(content.decode()).get("tool", {})
    except (ValueError, RecursionError) as error:  # TOML or UTF-8; tables within tables without end
        if _TOOL_OF_OURS.search(content):
            raise BadProject(f"{file} can't be understood: {error}.") from error
        return None
    if not isinstance(tool, dict):
        if "meshproof" in str(tool):
            raise BadProject(f"{file}: tool should be a table.")
        return None
    ours = tool.get("meshproof")
    if ours is not None and not isinstance(ours, dict):
        raise BadProject(f"{file}: [tool.meshproof] should be a table.")
    return ours


def current_project() -> Project:
    """Return the project of the current directory, as it was when this was first asked."""
    return replace(project_here(), artifacts=_elsewhere[-1]) if _elsewhere else project_here()


@cache
def project_here() -> Project:
    """Return it as it says itself that it is."""
    return Project.of(Path.cwd())


@contextmanager
def leaving_in(directory: Path) -> Iterator[None]:
    """Have the current project leave what it leaves in another directory, for as long as the context lasts."""
    _elsewhere.append(directory)
    try:
        yield
    finally:
        _elsewhere.pop()


_elsewhere: list[Path] = []

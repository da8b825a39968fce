"""The certificates of a run: who signs what, as a file of the project says.

    test:                                                          # an authority, and what it signs, by name
      test.com: {}                                                 # for the host of that name
      test.client: {names: [spiffe://test.client]}                 # for other names: hosts, or URIs
      ecdsa.test.com: {key: ECDSA}                                 # RSA is the other kind of key
      expired: {names: [spiffe://test.client], lifetime: expired}  # or: not yet valid

The authority ``meshproof`` is always there. Each is made in memory when it is first asked for, anew in every run.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from trustme import KeyType

from meshproof.certificates.authority import Authority, Lifetime
from meshproof.certificates.leaf import Leaf
from meshproof.errors import ClusterError, FaultyManifests

Choice = TypeVar("Choice")

OWN = "meshproof"
"""The authority that signs what no file says the authority of."""
_KEYS = {"RSA": KeyType.RSA, "ECDSA": KeyType.ECDSA}
_LIFETIMES = {lifetime.name.lower().replace("_", " "): lifetime for lifetime in Lifetime}
_FACTS = ("names", "key", "lifetime", "common_name")


@dataclass(frozen=True, slots=True)
class Definition:
    """What a certificate is to be.

    Attributes:
        authority: Who signs it.
        names: Its subject alternative names: host names and addresses for a server, or URIs for a client.
        key: The kind of its key.
        lifetime: When it is valid.
        common_name: The CN of its subject; for a server the first name by default, for a client none.
    """

    authority: str
    names: tuple[str, ...]
    key: KeyType = KeyType.RSA
    lifetime: Lifetime = Lifetime.CURRENT
    common_name: str | None = None

    @classmethod
    def read(cls, name: str, facts: object, authority: str) -> Definition:
        """Read what is written of a certificate.

        Raises:
            ValueError: What is wrong with it, as the end of a sentence that begins with the certificate.
        """
        if facts is None:
            facts = {}
        if not isinstance(facts, dict):
            raise ValueError(f"should say {', '.join(_FACTS)} or nothing ({{}}), not {facts!r}")  # noqa: TRY004 - a reader's mistake
        if strange := [fact for fact in facts if fact not in _FACTS]:
            raise ValueError(f"has {strange[0]!r}: {nearest(str(strange[0]), _FACTS)}")
        names = facts.get("names", [name])
        if not isinstance(names, list) or not names or not all(isinstance(each, str) and each for each in names):
            raise ValueError("should have a list of texts as its names")
        if len({"://" in each for each in names}) > 1:
            raise ValueError("has both hosts and URIs as its names: a server has hosts, and a client has URIs")
        common_name = facts.get("common_name")
        if common_name is not None and not isinstance(common_name, str):
            raise ValueError("should have a text as its common_name")
        return cls(
            authority,
            tuple(names),
            _chosen(facts, "key", _KEYS, KeyType.RSA),
            _chosen(facts, "lifetime", _LIFETIMES, Lifetime.CURRENT),
            common_name,
        )

    @classmethod
    def inline(cls, facts: Mapping[str, Any]) -> tuple[str, Definition]:
        """Read a certificate that is defined where it is needed; return its name, too.

        Raises:
            ValueError: As for ``read``.
        """
        rest = {fact: value for fact, value in facts.items() if fact not in ("name", "authority")}
        name, authority = facts.get("name"), facts.get("authority", OWN)
        if not isinstance(name, str) or not isinstance(authority, str):
            raise ValueError("should have a text as its name, and as its authority if it says one")  # noqa: TRY004 - as above
        return name, cls.read(name, rest, authority)


class Certificates:
    """Everything that a manifest or a test can name.

    Attributes:
        definitions: What the certificates are to be, by name.
    """

    def __init__(self, tree: Mapping[str, Mapping[str, Definition]] | None = None) -> None:
        """Take what a file says; make nothing yet."""
        self.definitions = {name: leaf for leaves in (tree or {}).values() for name, leaf in leaves.items()}
        self._authorities: dict[str, Authority | None] = dict.fromkeys([*(tree or {}), OWN])
        self._leaves: dict[str, Leaf] = {}

    @property
    def authorities(self) -> list[str]:
        """The names of those who sign."""
        return list(self._authorities)

    def authority(self, name: str) -> Authority:
        """Return who signs under a name; ``.pem`` of it is what one trusts.

        Raises:
            ClusterError: There is none of that name.
        """
        if name not in self._authorities:
            raise ClusterError(f"There is no authority {name}: {nearest(name, self._authorities)}.")
        authority = self._authorities[name] or Authority(name)
        self._authorities[name] = authority
        return authority

    def __getitem__(self, name: str) -> Leaf:
        """Return a certificate with its key.

        Raises:
            ClusterError: There is none of that name.
        """
        if name not in self.definitions:
            raise ClusterError(f"There is no certificate {name}: {nearest(name, self.definitions)}.")
        if name not in self._leaves:
            self._leaves[name] = self._issue(self.definitions[name])
        return self._leaves[name]

    def define(self, name: str, definition: Definition) -> None:
        """Add a certificate, and its authority; what is there already stays as it is.

        Raises:
            ClusterError: There is another one of that name.
        """
        if self.definitions.setdefault(name, definition) != definition:
            raise ClusterError(f"The certificate {name} is defined twice, and not alike: call one of them otherwise.")
        self._authorities.setdefault(definition.authority, None)

    def name_of(self, serial: int) -> str | None:
        """Return the name of the certificate with a serial number; None if no such one has been made."""
        return next((name for name, leaf in self._leaves.items() if leaf.serial == serial), None)

    def _issue(self, definition: Definition) -> Leaf:
        authority = self.authority(definition.authority)
        issue = authority.client if "://" in definition.names[0] else authority.server
        return issue(
            *definition.names, common_name=definition.common_name, lifetime=definition.lifetime, key=definition.key
        )


def read(file: Path) -> Certificates:
    """Read the file of a project's certificates; where there is none, there is only the authority ``meshproof``.

    Raises:
        FaultyManifests: It can't be understood: a sentence a fault.
    """
    if not file.exists():
        return Certificates()
    try:
        tree = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise FaultyManifests(f"{file} can't be read: {' '.join(str(error).split())}.") from error
    if not isinstance(tree, dict) or not all(isinstance(leaves or {}, dict) for leaves in tree.values()):
        raise FaultyManifests(f"{file} should name authorities, and below each the certificates that it signs.")
    faults: list[str] = []
    definitions: dict[str, dict[str, Definition]] = {}
    for authority, leaves in tree.items():
        below = definitions.setdefault(str(authority), {})
        for name, facts in (leaves or {}).items():
            if any(name in others for others in definitions.values()):
                faults.append(f"{file}: the certificate {name} is there twice.")
                continue
            try:
                below[str(name)] = Definition.read(str(name), facts, str(authority))
            except ValueError as error:
                faults.append(f"{file}: the certificate {name} of {authority} {error}.")
    if faults:
        raise FaultyManifests("\n".join(faults))
    return Certificates(definitions)


def nearest(wrong: str, names: Collection[str]) -> str:
    """Return what could have been meant by a name that is not there."""
    near = difflib.get_close_matches(wrong, names, n=1)
    if near:
        return f"the nearest is {near[0]}"
    return f"choose from {', '.join(sorted(names))}" if names else "there is none"


def _chosen(facts: Mapping[str, Any], fact: str, choices: Mapping[str, Choice], otherwise: Choice) -> Choice:
    """Return what a fact chooses.

    Raises:
        ValueError: It is no choice.
    """
    if fact not in facts:
        return otherwise
    if facts[fact] not in choices:
        raise ValueError(f"has {fact} {facts[fact]!r}: choose from {', '.join(choices)}")
    return choices[facts[fact]]

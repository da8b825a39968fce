"""The certificates of a run: who signs what, as a file of the project says.

    test:                                                          # an authority, and what it signs, by name
      test.com: {}                                                 # for the host of that name
      test.client: {names: [spiffe://test.client]}                 # for other names: hosts, or URIs
      ecdsa.test.com: {key: ECDSA}                                 # RSA is the other kind of key
      expired: {names: [spiffe://test.client], lifetime: expired}  # or: not yet valid

The authority ``meshproof`` is always there. Each is made in memory when it is first asked for, anew in every run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from trustme import KeyType

from meshproof.certificates.authority import Authority, Lifetime
from meshproof.certificates.leaf import Leaf
from meshproof.errors import ClusterError, FaultyManifests, Unreadable
from meshproof.input_files import Node, nearest, yaml_documents
from meshproof.project import as_typed_here

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
    def read(cls, name: str, facts: Node, authority: str) -> Definition:
        """Read what is written of a certificate; nothing (``{}``) is a server of that name.

        Raises:
            Unreadable: It can't be understood.
        """
        fields = facts.fields(_FACTS)
        names = fields["names"].items() if "names" in fields else []
        if "names" in fields and not names:
            raise fields["names"].wrong("is empty: leave it out, or name a host or a URI")
        if len({"://" in each.text() for each in names}) > 1:
            raise fields["names"].wrong("has hosts and URIs: a server has hosts, and a client has URIs")
        return cls(
            authority,
            tuple(each.text() for each in names) or (name,),
            _KEYS[fields["key"].among(_KEYS)] if "key" in fields else KeyType.RSA,
            _LIFETIMES[fields["lifetime"].among(_LIFETIMES)] if "lifetime" in fields else Lifetime.CURRENT,
            fields["common_name"].text() if "common_name" in fields else None,
        )

    @classmethod
    def inline(cls, facts: Node) -> tuple[str, Definition]:
        """Read a certificate that is defined where it is needed; return its name, too.

        Raises:
            Unreadable: It can't be understood, or has no name.
        """
        fields = facts.fields(("name", "authority", *_FACTS))
        if "name" not in fields:
            raise facts.wrong("should have a name, by which a test finds it")
        authority = fields["authority"].text() if "authority" in fields else OWN
        assert isinstance(facts.value, dict)
        rest = {fact: value for fact, value in facts.value.items() if fact not in ("name", "authority")}
        return fields["name"].text(), cls.read(fields["name"].text(), replace(facts, value=rest), authority)


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
    faults: list[str] = []
    definitions: dict[str, dict[str, Definition]] = {}
    try:
        tree = yaml_documents(as_typed_here(file))
        authorities = tree[0].fields() if tree else {}
        for authority, leaves in authorities.items():
            below = definitions.setdefault(authority, {})
            for name, facts in leaves.fields().items():
                if any(name in others for others in definitions.values()):
                    faults.append(str(facts.wrong("is there twice, and a certificate is found by its name")))
                try:
                    below[name] = Definition.read(name, facts, authority)
                except Unreadable as error:
                    faults.append(str(error))
    except Unreadable as error:
        faults.append(str(error))
    if faults:
        raise FaultyManifests("\n".join(faults))
    return Certificates(definitions)

"""The certificates of a run: who signs what, as a file of the project says.

    test:                                                          # an authority, and what it signs, by name
      test.com: {}                                                 # for the host of that name
      test.client: {names: [spiffe://test.client]}                 # for other names: hosts and addresses, or URIs
      ecdsa.test.com: {key: ECDSA}                                 # RSA is the other kind of key
      expired: {names: [spiffe://test.client], lifetime: expired}  # or: not yet valid

The authority ``meshproof`` is always there, and no manifest adds another one. Each certificate is made in memory when
it is first asked for, anew in every run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from trustme import KeyType

from meshproof.certificates.authority import Authority, Lifetime
from meshproof.certificates.leaf import Leaf
from meshproof.certificates.names import is_alternative_name, is_common_name, is_file_name, is_uri
from meshproof.errors import ClusterError, FaultyManifests, NotThere, Unreadable
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
        common_name: The CN of its subject; for a server the first name by default, if it is not too long for a CN; for
            a client none.
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
            Unreadable: It can't be understood, or no certificate could be issued with it.
        """
        _look_at_file_name(facts, name)
        fields = facts.fields(_FACTS)
        if "names" not in fields and not is_alternative_name(name):
            raise facts.wrong(
                f"has no `names`, and its own, {name!r}, is none that a certificate can have: give it some, such as "
                "names: [shop.example] for a server, or names: ['spiffe://shop/buyer'] for a client"
            )
        return cls(
            authority,
            _names(fields["names"]) if "names" in fields else (name,),
            _KEYS[fields["key"].among(_KEYS)] if "key" in fields else KeyType.RSA,
            _LIFETIMES[fields["lifetime"].among(_LIFETIMES)] if "lifetime" in fields else Lifetime.CURRENT,
            _common_name(fields["common_name"]) if "common_name" in fields else None,
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


def _names(names: Node) -> tuple[str, ...]:
    """Read alternative names.

    Raises:
        Unreadable: There is none, one can't be in a certificate, or they are of a server and of a client.
    """
    texts = tuple(name.text() for name in names.items())
    if not texts:
        raise names.wrong("is empty: leave it out, or name a host or a URI")
    for name in names.items():
        if not is_alternative_name(name.text()):
            raise name.is_not("a host, such as shop.example or *.shop.example, an IP address, or a URI in ASCII")
    if len({is_uri(text) for text in texts}) > 1:
        raise names.wrong("has hosts and URIs: a server has hosts, and a client has URIs")
    return texts


def _common_name(name: Node) -> str:
    if not is_common_name(name.text()):
        raise name.is_not("of 1 to 64 letters (less if they are not ASCII); without it the first host is taken")
    return name.text()


def _look_at_file_name(node: Node, name: str) -> None:
    """Look at the name of a certificate or of an authority.

    Raises:
        Unreadable: No file could be called so.
    """
    if not is_file_name(name):
        raise node.wrong(
            f"is called {name!r}, and `meshproof apply` writes it to a file of its name: it can't be empty or long, or "
            "have a slash or what is not printable in it"
        )


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
            NotThere: There is none of that name.
        """
        self._look_for(name)
        authority = self._authorities[name] or Authority(name)
        self._authorities[name] = authority
        return authority

    def __getitem__(self, name: str) -> Leaf:
        """Return a certificate with its key.

        Raises:
            NotThere: There is none of that name.
        """
        if name not in self.definitions:
            raise NotThere(f"There is no certificate {name}: {nearest(name, self.definitions)}.")
        if name not in self._leaves:
            self._leaves[name] = self._issue(self.definitions[name])
        return self._leaves[name]

    def define(self, name: str, definition: Definition) -> None:
        """Add a certificate; what is there already stays as it is.

        Raises:
            ClusterError: There is another one of that name, or no such authority.
        """
        self._look_for(definition.authority)
        if self.definitions.setdefault(name, definition) != definition:
            raise ClusterError(f"The certificate {name} is defined twice, and not alike: call one of them otherwise.")

    def scope(self) -> Certificates:
        """Return the same again: what is defined there is not here."""
        scope = Certificates()
        scope.definitions, scope._authorities = dict(self.definitions), dict(self._authorities)
        scope._leaves = dict(self._leaves)
        return scope

    def name_of(self, serial: int) -> str | None:
        """Return the name of the certificate with a serial number; None if no such one has been made."""
        return next((name for name, leaf in self._leaves.items() if leaf.serial == serial), None)

    def _look_for(self, authority: str) -> None:
        if authority not in self._authorities:
            raise NotThere(f"There is no authority {authority}: {nearest(authority, self.authorities)}.")

    def _issue(self, definition: Definition) -> Leaf:
        authority = self.authority(definition.authority)
        issue = authority.client if is_uri(definition.names[0]) else authority.server
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
        if len(tree) > 1:
            raise tree[1].wrong("is a second one, and all certificates are in one: leave the `---` out")
        authorities = tree[0].fields() if tree else {}
        for authority, leaves in authorities.items():
            _look_at_file_name(leaves, authority)
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

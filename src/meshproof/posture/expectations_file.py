"""Reading what a posture should be from a YAML file.

All keys are optional. An empty list of suites, groups, protocols or names says that there are none; nothing else may be
empty::

    versions: [TLSv1.2, TLSv1.3]            # exactly these are offered; TLS 1.2 and TLSV1_2 will do, too
    ciphers:                                # for each version exactly these; by their names in OpenSSL or at IANA
      TLSv1.2: [ECDHE-RSA-AES256-GCM-SHA384]
      TLSv1.3:                              # ... and in this order; those of a list inside have equal preference
        order: true
        names: [[TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384], TLS_CHACHA20_POLY1305_SHA256]
    groups: [X25519, P-256]                 # exactly these, in all versions together; `order` and `names` as above
    alpn: [h2, http/1.1]                    # exactly these
    client_authentication: required         # or: requested, not requested
    client_certificate: accepted            # or refused: what becomes of the one given with --cert
    credential: established                 # the same to the letter, such as: client certificate expired
    fallback_scsv: true                     # whether a downgrade is noticed
    certificate:                            # of each certificate of the server
      names: ["*.example.com"]              # exactly these
      issuer: CN=R11,O=Let's Encrypt        # the whole name (RFC 4514), or parts of it, or a CN alone
      key: [RSA 2048, EC P-256]             # exactly these, in all certificates together; one needs no list
      days_left: 14                         # so many days or more
    clients:
      connect: [modern, Java 8u161]         # clients, or sets of them: seed, modern, all, ...
      refuse: [IE 6 XP]                     # a client that is named goes before the sets
      exactly:                              # what a client gets, as tables spell it; any of the three fields
        Java 8u161: {protocol: TLSv1.2, cipher: ECDHE-RSA-AES128-GCM-SHA256, forward_secrecy: 256 bit ECDH (P-256)}

`certificate_names` is an older way to write `certificate: {names: ...}`. The clients that are named are simulated,
whatever else is. Lists don't tell kinds of certificates apart: a server with one of RSA and one of ECDSA has the suites
of both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from meshproof.errors import Unreadable
from meshproof.input_files import Node, yaml_documents
from meshproof.posture.comparison import ACCEPTED, REFUSED, verdict_of_certificate
from meshproof.posture.expectations import GETS, Expectations, ExpectedCertificate, Listing, parts_of_name
from meshproof.posture.spelling import PROTOCOLS, group
from meshproof.tls.probe.outcome import UNDECIDED, Outcome
from meshproof.tls.protocol.ciphersuite import CipherSuite
from meshproof.tls.protocol.codes import group_named, suite_named
from meshproof.tls.scanner.findings import ClientAuthentication
from meshproof.tls.scanner.questions import PROTOCOLS as APPLICATION_PROTOCOLS

KEYS = (
    *("versions", "ciphers", "groups", "alpn", "client_authentication", "client_certificate", "credential"),
    *("fallback_scsv", "certificate", "certificate_names", "clients"),
)
"""What a file may have."""

_OF_A_CERTIFICATE = ("names", "issuer", "key", "days_left")
_ALL = "all"
_ENDS = {outcome.value: outcome for outcome in Outcome if outcome not in UNDECIDED | {Outcome.NEGOTIATED}}
"""What can become of a client certificate, as it is written."""
_AUTHENTICATIONS = [str(kind) for kind in ClientAuthentication if kind is not ClientAuthentication.UNKNOWN]
_KEY_KINDS = {"RSA": "RSA", "DSA": "DSA", "EC": "EC", "ECDSA": "EC"}
_KEYS_WITHOUT_SIZE = ("Ed25519", "Ed448")


def read(path: Path, clients: Mapping[str, str]) -> Expectations:
    """Read expectations.

    Args:
        path: The file.
        clients: By the name of each client that there is the set that it belongs to.

    Raises:
        Unreadable: The file cannot be read, or something in it is not known; the sentence says what and where.
    """
    documents = yaml_documents(path)
    if not documents:
        raise Unreadable(f"{path}: the file is empty, so that nothing is expected.")
    if len(documents) > 1:
        raise documents[1].wrong("is the second one: expectations are one document")
    top = _filled(documents[0], KEYS)
    ciphers = _by_version(top["ciphers"]) if "ciphers" in top else {}
    people = _filled(top["clients"], ("connect", "refuse", "exactly")) if "clients" in top else {}
    authentication, accepted, end = map(top.get, ("client_authentication", "client_certificate", "credential"))
    connects, exactly = _clients(people, clients)
    wanted = Expectations(
        versions=frozenset(map(_protocol, _not_empty(top["versions"]))) if "versions" in top else None,
        ciphers={version: _listing(node, _suite) for version, node in ciphers.items()},
        groups=_listing(top["groups"], _group) if "groups" in top else None,
        alpn=_words(top.get("alpn"), lambda node: node.among(APPLICATION_PROTOCOLS)),
        client_authentication=authentication.among(_AUTHENTICATIONS) if authentication else None,
        client_certificate=accepted.among((ACCEPTED, REFUSED)) if accepted else None,
        credential=_end(end) if end else None,
        fallback_scsv=top["fallback_scsv"].flag() if "fallback_scsv" in top else None,
        certificate=_certificate(top),
        clients=connects,
        exactly=exactly,
    )
    _contradictions(wanted, top, ciphers)
    return wanted


def _contradictions(wanted: Expectations, top: Mapping[str, Node], ciphers: Mapping[str, Node]) -> None:
    """Refuse expectations that no server can meet together."""
    versions = frozenset(PROTOCOLS) if wanted.versions is None else wanted.versions
    for name, listing in wanted.ciphers.items():
        if listing.ranks and name not in versions:
            raise ciphers[name].wrong(f"has suites, and versions lacks {name}")
        if not listing.ranks and name in (wanted.versions or ()):
            raise ciphers[name].wrong(f"has no suite, and versions has {name}")
    for name, fields in wanted.exactly.items():
        if not versions.issuperset({fields.get("protocol")} - {None}):
            node = top["clients"].fields()["exactly"].fields()[name]
            raise node.wrong(f"has {fields['protocol']}, and versions lacks it")
    if wanted.credential and wanted.client_certificate not in {None, verdict_of_certificate(wanted.credential)}:
        raise top["credential"].wrong(f"can't be so when client_certificate is {wanted.client_certificate}")


def _filled(node: Node, known: Iterable[str]) -> dict[str, Node]:
    """Return what is in a mapping that must not be empty."""
    fields = node.fields(known)
    if not fields:
        raise node.wrong("is empty, so that nothing is expected")
    return fields


def _protocol(node: Node) -> str:
    """Return a version as ``protocol`` spells it, from that or from another usual spelling of it."""
    return _SPELLINGS.get(_without_signs(str(node.value))) or node.among(PROTOCOLS)


def _without_signs(version: str) -> str:
    return re.sub(r"(?<=[sl])[ v]|_", lambda sign: "." * (sign[0] == "_"), version.lower())


_SPELLINGS = {_without_signs(name): name for name in PROTOCOLS}


def _by_version(node: Node) -> dict[str, Node]:
    """Return what is in a mapping by version; it must not be empty."""
    by_version: dict[str, Node] = {}
    for key, value in node.fields().items():
        name = _protocol(Node(node.file, node.where, key, value.line))
        if name in by_version:
            raise value.wrong(f"says the same as {by_version[name].where}: keep one of them")
        by_version[name] = value
    return by_version or _filled(node, PROTOCOLS)


def _end(node: Node) -> Outcome:
    """Return an end by its words or by its name, in capitals or not."""
    ends = {word.lower(): end for end in _ENDS.values() for word in (end.name, end.value)}
    return ends.get(node.text().lower()) or _ENDS[node.among(_ENDS)]


def _certificate(top: Mapping[str, Node]) -> ExpectedCertificate:
    fields = _filled(top["certificate"], _OF_A_CERTIFICATE) if "certificate" in top else {}
    older = top.get("certificate_names")
    if older and "names" in fields:
        raise older.wrong("says the same as certificate.names: keep one of them")
    keys = fields.get("key")
    return ExpectedCertificate(
        names=_words(fields.get("names") or older, Node.text),
        issuer=_issuer(fields["issuer"]) if "issuer" in fields else None,
        keys=frozenset(map(_key, _alike(keys))) if keys else None,
        days_left=fields["days_left"].number() if "days_left" in fields else None,
    )


def _issuer(node: Node) -> frozenset[str]:
    text = node.text().strip()
    if not text:
        raise node.wrong("is empty, so that nothing is expected")
    return parts_of_name(text if "=" in text else f"CN={text}")


def _key(node: Node) -> str:
    """Return the kind and size of a key as a posture has them."""
    text = node.text()
    for name in _KEYS_WITHOUT_SIZE:
        if text.lower() == name.lower():
            return name
    kind, _, size = text.partition(" ")
    kind = _KEY_KINDS.get(kind.upper(), "")
    if kind == "EC":
        try:
            return f"EC {group(group_named(size))}"
        except ValueError as error:
            raise node.wrong(f"has a mistake. {str(error).rstrip('.')}") from error
    if not kind or not (size.isascii() and size.isdigit()):
        raise node.wrong(f"has {text!r}, which is no key: write it as RSA 2048, EC P-256 or Ed25519")
    return f"{kind} {int(size)}"


def _words(node: Node | None, read_one: Callable[[Node], str]) -> frozenset[str] | None:
    return frozenset(map(read_one, node.items())) if node else None


def _suite(node: Node) -> str:
    return _known_suite(node).label


def _known_suite(node: Node) -> CipherSuite:
    try:
        return suite_named(node.text())
    except ValueError as error:
        raise node.wrong(f"has a mistake. {str(error).rstrip('.')}") from error


def _group(node: Node) -> str:
    try:
        return group(group_named(node.text()))
    except ValueError as error:
        raise node.wrong(f"has a mistake. {str(error).rstrip('.')}") from error


def _names(node: Node) -> Node:
    if not isinstance(node.value, dict):
        return node
    fields = node.fields(("order", "names"))
    if "names" not in fields:
        raise node.wrong("lacks the key 'names'")
    return fields["names"]


def _alike(node: Node) -> list[Node]:
    return node.items() if isinstance(node.value, list) else [node]


def _listing(node: Node, read_one: Callable[[Node], str]) -> Listing:
    names = _names(node)
    order = node.fields()["order"].flag() if names is not node and "order" in node.fields() else False
    ranks = tuple([read_one(node) for node in _alike(rank)] for rank in names.items())
    for name, count in Counter(name for rank in ranks for name in rank).items():
        if count > 1:
            raise node.wrong(f"has {name!r} twice")
    return Listing(tuple(map(frozenset, ranks)), order)


def _clients(people: Mapping[str, Node], known: Mapping[str, str]) -> tuple[dict[str, bool], dict[str, dict[str, str]]]:
    """Return which clients must connect and which must not, and what some of them must get."""
    by_set: dict[str, bool] = {}
    by_name: dict[str, bool] = {}
    for key, connects in (("connect", True), ("refuse", False)):
        for node in _not_empty(people[key]) if key in people else ():
            word = node.among([*known, *sorted({_ALL, *known.values()})])
            chosen = by_name if word in known else by_set
            for name in [word] if word in known else [n for n, its in known.items() if word in (_ALL, its)]:
                if chosen.setdefault(name, connects) is not connects:
                    raise node.wrong(f"has {word!r}, and clients.connect has {name!r} too")
    exactly = _filled(people["exactly"], known) if "exactly" in people else {}
    for name, node in exactly.items():
        if not by_name.setdefault(name, True):
            raise node.wrong("says what the client gets, and clients.refuse has it too")
    return by_set | by_name, {name: _gets(node) for name, node in exactly.items()}


def _not_empty(node: Node) -> list[Node]:
    items = node.items()
    if not items:
        raise node.wrong("is empty, so that nothing is expected")
    return items


def _gets(node: Node) -> dict[str, str]:
    spellings: Mapping[str, Callable[[Node], str]] = {
        "protocol": _protocol,
        "cipher": lambda node: _negotiated(_known_suite(node)),
        "forward_secrecy": Node.text,
    }
    return {key: spellings[key](value) for key, value in _filled(node, GETS).items()}


def _negotiated(suite: CipherSuite) -> str:
    """Return a suite as the table of clients spells it."""
    return suite.name if suite.tls13 else suite.label

"""The targets of a scan, from the command line."""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from meshproof.errors import BadTarget
from meshproof.tls import Address, Target

HTTPS = 443
_TARGET = re.compile(
    r"(?:https://)?(?:(?P<sni>[^@/\s]+)@)?(?:\[(?P<ip6>[^\]]+)\]|(?P<host>[^:/@\[\]\s]+))(?::(?P<port>\d{1,5}))?/?"
)
_PORTS = range(1, 65536)
_LONGEST_NAME = 253  # octets of the name of a host


def chosen_targets(words: Iterable[str], sni: str | None, *, no_sni: bool) -> list[Target]:
    """Return the targets that some words name.

    Args:
        words: As ``target_words`` gives them.
        sni: The server name of --sni.
        no_sni: Whether --no-sni was given.

    Raises:
        BadTarget: A word is no target, --sni is no server name, or there is no word.
    """
    if sni is not None and no_sni:
        raise BadTarget("--sni sends a server name and --no-sni sends none: give one of them.")
    if sni is not None and (not sni or any(letter.isspace() for letter in sni)):
        raise BadTarget(f"--sni {sni!r} is no server name: write a name without blanks, or --no-sni to send none.")
    targets = [target_of(word, sni, no_sni=no_sni) for word in words]
    if not targets:
        raise BadTarget("Nothing is to be scanned: name a HOST:PORT, a file of them with --targets, or -.")
    return targets


def target_words(targets: Iterable[str], file: str | None) -> Iterator[str]:
    """Return the words that name targets: the arguments, with standard input in the place of ``-``, and a file's lines.

    Raises:
        BadTarget: Standard input is no text, or the file can't be read.
    """
    for target in targets:
        if target == "-":
            try:
                yield from _lines(sys.stdin)
            except UnicodeDecodeError as error:
                raise BadTarget("Tried to read targets from standard input: it is not text in UTF-8.") from error
        else:
            yield target
    if file is not None:
        try:
            yield from _lines(Path(file).read_text(encoding="utf-8").splitlines())
        except OSError as error:
            raise BadTarget(f"Tried to read the targets in {file}: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise BadTarget(f"Tried to read the targets in {file}: it is not text in UTF-8.") from error


def _lines(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        word = line.partition("#")[0].strip()
        if word:
            yield word


def target_of(word: str, sni: str | None, *, no_sni: bool) -> Target:
    """Return the target that a word names.

    Args:
        word: ``HOST``, ``HOST:PORT``, ``[IPv6]:PORT`` or ``NAME@HOST:PORT``, perhaps as an address of HTTPS.
        sni: The server name where the word has none; None is the host.
        no_sni: Whether no server name is sent.

    Raises:
        BadTarget: The word, or the name, can't be understood.
    """
    match = _TARGET.fullmatch(word)
    if match is None:
        address = word.rpartition("@")[2]
        write = (
            f"[{address}] or [{address}]:PORT" if _is_address(address) else "HOST:PORT, [IPv6]:PORT or NAME@HOST:PORT"
        )
        raise BadTarget(f"{word} is no target: write {write}.")
    host, port = match["ip6"] or match["host"], int(match["port"] or HTTPS)
    if port not in _PORTS:
        raise BadTarget(f"{word}: there is no port {port}.")
    name = match["sni"] or sni
    if name is None and not _is_address(host) and not no_sni:
        with suppress(BadTarget):  # then it has no address either, which is this target's failure alone
            return Target(Address(host, port), _server_name(host))
    return Target(Address(host, port), None if no_sni or not name else _server_name(name))


def _server_name(name: str) -> str:
    """Return a name as it is sent (RFC 5890): no address, and without the dot of the root (RFC 6066 section 3).

    A label of it has 1 to 63 octets, and all of it at most 253 (RFC 1035 section 2.3.4, where the dots have 2 more).
    """
    if _is_address(name.removesuffix(".").strip("[]")):
        raise BadTarget(f"{name} can't be a server name, for it is an address: write a name, or --no-sni to send none.")
    try:
        octets = name.encode("idna").removesuffix(b".")
    except UnicodeError as error:
        raise BadTarget(f"{name} can't be the name of a host: {error}.") from error
    if not 0 < len(octets) <= _LONGEST_NAME:
        size = f"it has {len(octets)} octets, and may have 1 to {_LONGEST_NAME}"
        raise BadTarget(f"{name} can't be the name of a host: {size}.")
    return octets.decode("ascii")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True

"""Every client's hello, read by OpenSSL: it must see the client that was meant."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import psutil
import pytest

from meshproof.machine import process
from meshproof.machine.wait import until
from meshproof.tls import Outcome, ProtocolVersion
from meshproof.tls.probe.exchange import ask
from meshproof.tls.probe.resolution import Endpoint
from meshproof.tls.protocol import hello as sent
from meshproof.tls.protocol.clients import built_in
from meshproof.tls.protocol.hello import Hello
from meshproof.tls.protocol.profile import GREASE, Profile
from meshproof.tls.scanner.questions import PROTOCOLS, broad
from tests.support.certificates import HOST, SERVER
from tests.support.flights import RSA_AES_128, TLS_1_0
from tests.support.programs import PATIENCE, port_in
from tests.support.servers import serving, tls

CLIENTS = {f"all of {version}": broad(version, alpn=PROTOCOLS) for version in list(ProtocolVersion)[1:]}
CLIENTS |= {profile.name: profile for profile in built_in().profiles if not profile.ssl2_format}

# How `openssl s_server -trace` writes a ClientHello.
EXTENSION = re.compile(r"^ {8}extension_type=.*\((\d+)\), length=\d+\n", re.MULTILINE)
SUITE = re.compile(r"\{0x(..), 0x(..)\}")
NUMBER = re.compile(r" \((0x[0-9a-f]+|\d+)\)$", re.MULTILINE)
DUMPED = re.compile(r"^ +[0-9a-f]{4} - ([0-9a-f -]{47})", re.MULTILINE)
CODES = {
    "groups": sent.SUPPORTED_GROUPS,
    "signature_algorithms": sent.SIGNATURE_ALGORITHMS,
    "versions": sent.SUPPORTED_VERSIONS,
    "psk_modes": sent.PSK_MODES,
    "point_formats": sent.POINT_FORMATS,
    "key_shares": sent.KEY_SHARE,
}
"""The fields of a profile that OpenSSL prints as numbers, with the extensions that they are in."""


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """What OpenSSL writes about each hello."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    directory = tmp_path_factory.mktemp("openssl")
    log, trace = directory / "log", directory / "trace"
    words = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept", str(len(CLIENTS)), "-nocert", "-www"]
    server = process.start([*words, "-trace", "-msgfile", trace], log=log)
    try:
        port = until(lambda: port_in(log), "known", bool, what="OpenSSL's port", timeout=PATIENCE, interval=0.01)
        for profile in CLIENTS.values():
            with socket.create_connection(("127.0.0.1", port)) as connection, suppress(ConnectionResetError):
                connection.sendall(Hello(profile, HOST).first())
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
        server.wait(PATIENCE)
    finally:
        with suppress(psutil.NoSuchProcess):
            server.kill()
    hellos = [block.partition("\n\n")[0] + "\n" for block in trace.read_text().split("Received Record\n")[1:]]
    return dict(zip(CLIENTS, (hello for hello in hellos if "ClientHello, " in hello), strict=True))


def understood(trace: str) -> dict[str, Any]:
    """Read back what OpenSSL has understood."""
    head, *rest = EXTENSION.split(trace)
    bodies = {int(code): body for code, body in zip(rest[::2], rest[1::2], strict=True)}
    version, session = re.search(r"client_version=(\S+)", head), re.search(r"session_id \(len=(\d+)\)", head)
    record = re.search(r"Version = .*\((\S+)\)", head)
    assert version
    assert session
    assert record
    return {
        "record_version": int(record[1], 16),
        "version": int(version[1], 16),
        "session_id": int(session[1]),
        "suites": greased(int(high + low, 16) for high, low in SUITE.findall(head)),
        "extensions": greased(map(int, rest[::2])),
        "alpn": tuple(bodies.get(sent.ALPN, "").split()),
        "server_name": bytes.fromhex("".join(DUMPED.findall(bodies.get(sent.SERVER_NAME, ""))).replace("-", " "))[5:],
        **{
            field: greased(int(number, 0) for number in NUMBER.findall(bodies[code]))
            for field, code in CODES.items()
            if code in bodies
        },
    }


def meant(profile: Profile) -> dict[str, Any]:
    """Return what OpenSSL should understand."""
    extensions = profile.extensions
    return {
        "record_version": profile.record_version.code,
        "version": min(profile.accepted_versions[0].code, ProtocolVersion.TLS_1_2.code),
        "session_id": profile.session_id,
        "suites": profile.suites,
        "extensions": extensions,
        "alpn": profile.alpn if sent.ALPN in extensions else (),
        "server_name": HOST.encode() if sent.SERVER_NAME in extensions else b"",
        **{field: getattr(profile, field) for field, code in CODES.items() if code in extensions},
    }


def greased(codes: Iterable[int]) -> tuple[int, ...]:
    """Put one GREASE value for all (RFC 8701 2)."""
    return tuple(GREASE if code in range(0x0A0A, 0xFFFF, 0x1010) else code for code in codes)


def test_openssl_sees_every_client(traces: Mapping[str, str]) -> None:
    """Versions, suites, extensions and what is in them come in the client's order."""
    for name, profile in CLIENTS.items():
        expected, seen = meant(profile), understood(traces[name])
        if sent.PADDING not in seen["extensions"]:  # only a hello of 256 to 511 octets is padded
            expected["extensions"] = tuple(code for code in expected["extensions"] if code != sent.PADDING)
        assert (name, seen) == (name, expected)


def test_openssl_sees_a_hello_in_ssl2_format() -> None:
    """OpenSSL answers a hello in the old format, in TLS; it does not write it down."""
    profile = Profile(name="", ssl2_format=True, versions=(TLS_1_0,), suites=(0x010080, RSA_AES_128, 0x00FF))
    with serving(tls(SERVER, oldest=ssl.TLSVersion.TLSv1)) as address:
        seen = asyncio.run(ask(Endpoint(socket.AF_INET, (address.host, address.port)), profile, sni=HOST))
    assert (seen.outcome, seen.version) == (Outcome.NEGOTIATED, ProtocolVersion.TLS_1_0)

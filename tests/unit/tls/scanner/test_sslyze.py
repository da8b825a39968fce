"""The second opinion: sslyze agrees with our own probe, and its errors are never taken for answers."""

from __future__ import annotations

import json
import os
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest

from meshproof.errors import ScanFailed, ToolMissing
from meshproof.tls import Address, Offered, ProtocolVersion, offers
from meshproof.tls.scanner.sslyze import Target, read_report, scan
from tests.support.certificates import HOST, OURS, SERVER
from tests.support.servers import nobody, say, serving, tls

V = ssl.TLSVersion
TARGET = Target(Address("192.0.2.1", 443), HOST)
TIMED_OUT = "Connection to server timed out during the TLS handshake"
REJECTED = "TLS alert: protocol version "


def test_two_opinions_agree() -> None:
    """Both probes find the same versions, at several servers in one run, one of which wants a certificate."""
    with (
        serving(tls(SERVER, oldest=V.TLSv1, newest=V.TLSv1_1)) as old,
        serving(tls(SERVER, clients=OURS)) as new,
    ):
        targets = [Target(address, HOST) for address in (old, new)]
        found = scan(targets)
        ours = {target: offers(target.address, sni=HOST) for target in targets}
    assert {target: found[target].offered for target in targets} == {
        target: {version for version, offer in offer.items() if offer.offered is Offered.OFFERED}
        for target, offer in ours.items()
    }
    assert "TLS_AES_256_GCM_SHA384" in found[targets[1]].accepted[ProtocolVersion.TLS_1_3]


def test_a_target_that_cannot_be_scanned_is_an_error() -> None:
    """A closed port has no versions to tell: that is an error, and names the target."""
    with nobody() as address, pytest.raises(ScanFailed, match=f"could not scan {HOST}:{address.port}"):
        scan([Target(address, HOST)])


def test_a_target_without_tls_is_an_error() -> None:
    """A server that hangs up on every hello is not one that offers nothing."""
    with serving(say()) as address, pytest.raises(ScanFailed, match="could not find a TLS version"):
        scan([Target(address, HOST)])


def test_sslyze_may_be_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of a checkout there is no environment for it: the program of that name is run."""
    program = tmp_path / "sslyze"
    program.write_text(f'#!/bin/sh\necho "$0" > {tmp_path}/ran\nexec {sys.prefix}/sslyze/bin/python -m sslyze "$@"\n')
    program.chmod(0o700)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "nowhere"))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with serving(tls(SERVER)) as address:
        found = scan([Target(address, HOST)])
    assert found[Target(address, HOST)].offered == {ProtocolVersion.TLS_1_2, ProtocolVersion.TLS_1_3}
    assert (tmp_path / "ran").read_text() == f"{program}\n"


def test_sslyze_that_is_missing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says where it was looked for, and what to do."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match=f"in {tmp_path}/sslyze and on the PATH.*`make setup`") as caught:
        scan([TARGET])
    assert caught.value.exit_code == 11


def report(rejection: str = REJECTED, **changes: Any) -> str:  # noqa: ANN401 - any part of a JSON document
    """Build a report on ``TARGET`` that offers TLS 1.2 only, and change parts of it."""
    accepted = [{"cipher_suite": {"openssl_name": "ECDHE-RSA-AES128-GCM-SHA256"}}]
    rejected = [{"cipher_suite": {"openssl_name": "AES128-SHA"}, "error_message": rejection}]
    scans = {
        f"{version}_cipher_suites": {
            "status": "COMPLETED",
            "error_trace": None,
            "result": {
                "accepted_cipher_suites": accepted if version == "tls_1_2" else [],
                "rejected_cipher_suites": rejected,
            },
        }
        for version in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2", "tls_1_3")
    }
    result = {
        "server_location": {"hostname": HOST, "ip_address": "192.0.2.1", "port": 443},
        "connectivity_status": "COMPLETED",
        "connectivity_error_trace": None,
        "scan_status": "COMPLETED",
        "scan_result": scans | changes.pop("scans", {}),
    }
    whole = {"invalid_server_strings": [], "server_scan_results": [result | changes.pop("result", {})]}
    return json.dumps(whole | changes)


GAVE_UP = {"tls_1_1_cipher_suites": {"status": "ERROR", "error_trace": "Traceback\nOSError: odd\n", "result": None}}


def test_a_report_is_read() -> None:
    """The control of the errors below: the accepted suites of each version."""
    found = read_report(report(), [TARGET])[TARGET]
    assert found.offered == {ProtocolVersion.TLS_1_2}
    assert found.accepted[ProtocolVersion.TLS_1_2] == {"ECDHE-RSA-AES128-GCM-SHA256"}


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        pytest.param("No targets to scan.", f"printed no report on {HOST}:443.*: No targets to scan", id="no JSON"),
        pytest.param(report(rejection=TIMED_OUT), "took a timeout for a rejection", id="timeout"),
        pytest.param(report(scans=GAVE_UP), "gave up on TLS 1.1 .* OSError: odd", id="gave up"),
        pytest.param(report(server_scan_results=[]), f"reported nothing on {HOST}:443", id="left out"),
        pytest.param(report(result={"scan_status": "ERROR_NO_CONNECTIVITY"}), "could not scan", id="no scan"),
        pytest.param(
            report(invalid_server_strings=[{"server_string": "x:y", "error_message": "Not a valid host:port"}]),
            "did not understand x:y",
            id="not understood",
        ),
    ],
)
def test_an_error_is_never_an_answer(printed: str, message: str) -> None:
    """What sslyze could not find out is an error, not a version that is not offered."""
    with pytest.raises(ScanFailed, match=message):
        read_report(printed, [TARGET])


@pytest.mark.parametrize(
    ("host", "spelled"),
    [("192.0.2.1", f"{HOST}:443{{192.0.2.1}}"), ("2001:db8::1", f"{HOST}:443{{[2001:db8::1]}}")],
    ids=["IPv4", "IPv6"],
)
def test_a_target_is_spelled_as_sslyze_reads_it(host: str, spelled: str) -> None:
    """The server name comes before the port, and the address after it in braces."""
    assert str(Target(Address(host, 443), HOST)) == spelled


def test_a_target_needs_an_address() -> None:
    """A host name is refused: sslyze would resolve it on its own, and may reach another address."""
    with pytest.raises(ValueError, match=HOST):
        Target(Address(HOST, 443), HOST)

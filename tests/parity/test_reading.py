"""What testssl.sh prints is read whole or not at all."""

from __future__ import annotations

import pytest

from meshproof.tls import ProtocolVersion
from tests.parity.testssl import CLIENTS, Row, Unreadable, read

VERSIONS = [
    " SSLv2      not offered (OK)",
    " SSLv3      offered (NOT ok)",
    " TLS 1      not offered",
    " TLS 1.1    offered (deprecated)",
    " TLS 1.2    not offered and downgraded to a weaker protocol",
    " TLS 1.3    offered (OK): final",
]
TABLE = ["", " Browser        Protocol  Cipher Suite Name (OpenSSL)       Forward Secrecy", "-" * 96]
X25519 = "TLSv1.2   ECDHE-RSA-AES128-GCM-SHA256       253 bit ECDH (X25519)"
CELLS = {
    "No connection": None,
    X25519: Row("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256", "253 bit ECDH (X25519)"),
    "TLSv1.2   DHE-RSA-AES128-SHA                2048 bit DH  ": Row("TLSv1.2", "DHE-RSA-AES128-SHA", "2048 bit DH"),
    "TLSv1.3   TLS_AES_128_GCM_SHA256            2048 bit DH  (ffdhe2048)": Row(
        "TLSv1.3", "TLS_AES_128_GCM_SHA256", "2048 bit DH (ffdhe2048)"
    ),
    "TLSv1.0   DES-CBC3-SHA                      No FS": Row("TLSv1.0", "DES-CBC3-SHA", "No FS"),
    "SSLv3     RC4-MD5                           No FS": Row("SSLv3", "RC4-MD5", "No FS"),
}


def printed(*cells: str, versions: list[str] = VERSIONS, first: int = 1) -> str:
    """Print a table whose first rows have these cells, and whose other rows no connection."""
    filled = [*cells, *["No connection"] * (CLIENTS - len(cells))]
    rows = [f" {f'Client {number} (Any 1.0)':<29}{cell}" for number, cell in enumerate(filled, 1)]
    return "\n".join([*versions, *TABLE, *rows[first - 1 :], "", " Done"])


def test_every_row_is_read() -> None:
    """Versions and clients come in their order, and only the spaces of the column are lost."""
    opinion = read(printed(*CELLS))
    assert list(opinion.offered) == list(ProtocolVersion)
    assert list(opinion.offered.values()) == [False, True, False, True, False, True]
    assert list(opinion.clients)[:2] == ["Client 1 (Any 1.0)", "Client 2 (Any 1.0)"]
    assert list(opinion.clients.values())[: len(CELLS)] == list(CELLS.values())
    assert len(opinion.clients) == CLIENTS


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param(printed(first=2), id="a client is missing"),
        pytest.param(printed(X25519.replace("253", "many")), id="a cell is not known"),
        pytest.param(printed("TLSv1.2   AES128-SHA"), id="a cell is cut off"),
        pytest.param(printed().replace("Client 2 ", "Client 1 "), id="a client is there twice"),
        pytest.param(printed(versions=VERSIONS[1:]), id="a version is missing"),
        pytest.param(printed(versions=[*VERSIONS[1:], " SSLv2      likely not offered"]), id="a version is not known"),
        pytest.param(printed(versions=[*VERSIONS, VERSIONS[0]]), id="a version is there twice"),
    ],
)
def test_anything_else_is_unreadable(text: str) -> None:
    """Nothing is concluded from fewer rows, nor from rows of another kind."""
    with pytest.raises(Unreadable):
        read(text)

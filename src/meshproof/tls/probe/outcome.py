"""What a TLS probe can come to: every answer of a peer has exactly one name."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum


class Outcome(Enum):
    """The result of one connection.

    ========================  ====================================================================
    ESTABLISHED               the handshake is complete and the peer has answered on it
    NEGOTIATED                a hello was answered with one that its client accepts; it was not completed
    CLIENT_CERT_REQUIRED      the peer asked for a certificate, got none, and ended: alert 116, or
                              40 or 42 after a CertificateRequest that we answered with nothing
    CLIENT_CERT_NOT_REQUESTED the peer asked for no certificate, so that nothing became of ours
    CLIENT_CERT_NOT_SHOWN     no handshake could be completed in which it would have been shown
    CLIENT_CERT_UNKNOWN_CA    alert 48: no trusted issuer for our certificate
    CLIENT_CERT_EXPIRED       alert 45: our certificate is out of its lifetime
    CLIENT_CERT_REJECTED      alert 42, 43, 44, 46 or 49: any other fault with our certificate
    PROTOCOL_VERSION          alert 70: no version in common
    HANDSHAKE_FAILURE         alert 40: nothing acceptable was offered
    UNRECOGNIZED_NAME         alert 112: no such server name
    OTHER_ALERT               any other alert; its number is in the observation
    CLOSED_IN_ORDER           alert 0 (close_notify) where an answer was due
    CLOSED_WITHOUT_ALERT      end of the stream, and no alert before it
    RESET                     a TCP reset, and no alert before it
    SILENT                    nothing, or not enough, before the deadline
    REFUSED                   nothing listens: the TCP connection was refused
    UNREACHABLE               no route to the address
    NAME_NOT_RESOLVED         the host name has no address
    SERVER_CERT_UNTRUSTED     we refused the peer: its chain, its lifetime or its name
    VERSION_NOT_OFFERED       the server chose a version that the client did not offer
    CIPHER_NOT_OFFERED        the server chose a cipher suite that the client did not offer
    GROUP_NOT_OFFERED         the server chose a group, or asked for one, that it must not
    DH_SIZE_REFUSED           the server's Diffie-Hellman prime is too short or too long for the client
    DOWNGRADED                the server says that it could do better: somebody has changed the hello
    SECOND_RETRY              the server answered the second hello with another HelloRetryRequest
    UNSTABLE                  the same hello was answered once, and once ended without a word
    OVERLONG                  the server's first flight has no end
    UNREADABLE                the server goes on with a key exchange or a cipher that we have no key for
    UNACCEPTABLE_ANSWER       TLS, but malformed or not an answer to a ClientHello
    NOT_TLS                   the peer speaks another protocol, or in plaintext
    NOT_ASKED                 no connection was made: the target had gone, or its time was up
    LOCAL_FAULT               this machine could not open a connection: no address of the kind, no free socket
    ========================  ====================================================================
    """

    ESTABLISHED = "established"
    NEGOTIATED = "negotiated"
    CLIENT_CERT_REQUIRED = "client certificate required"
    CLIENT_CERT_NOT_REQUESTED = "client certificate not asked for"
    CLIENT_CERT_NOT_SHOWN = "client certificate not shown: the server has neither TLS 1.2 nor 1.3"
    CLIENT_CERT_UNKNOWN_CA = "client certificate of an unknown authority"
    CLIENT_CERT_EXPIRED = "client certificate expired"
    CLIENT_CERT_REJECTED = "client certificate rejected"
    PROTOCOL_VERSION = "protocol version refused"
    HANDSHAKE_FAILURE = "handshake failure"
    UNRECOGNIZED_NAME = "server name not recognized"
    OTHER_ALERT = "another alert"
    CLOSED_IN_ORDER = "closed with close_notify"
    CLOSED_WITHOUT_ALERT = "closed without alert"
    RESET = "connection reset"
    SILENT = "silent until the deadline"
    REFUSED = "TCP connection refused"
    UNREACHABLE = "address unreachable"
    NAME_NOT_RESOLVED = "name not resolved"
    SERVER_CERT_UNTRUSTED = "server certificate untrusted"
    VERSION_NOT_OFFERED = "version not offered"
    CIPHER_NOT_OFFERED = "cipher suite not offered"
    GROUP_NOT_OFFERED = "group not offered"
    DH_SIZE_REFUSED = "Diffie-Hellman prime of a refused size"
    DOWNGRADED = "downgrade marker"
    SECOND_RETRY = "second HelloRetryRequest"
    UNSTABLE = "different answers to one hello"
    OVERLONG = "first flight without an end"
    UNREADABLE = "encrypted with what we have no key for"
    UNACCEPTABLE_ANSWER = "unacceptable answer"
    NOT_TLS = "not TLS"
    NOT_ASKED = "not asked: no time was left, or the target had gone"
    LOCAL_FAULT = "this machine could not open a connection"

    def __str__(self) -> str:
        return self.name


WORDLESS = frozenset({Outcome.CLOSED_WITHOUT_ALERT, Outcome.RESET})
"""The peer ended the connection and said nothing.

Envoy does so when no filter chain matches the server name, and docker-proxy and kube-proxy when nothing listens
behind them. Envoy's TLS inspector leaves the ClientHello unread in the kernel, so that its close is a reset; a
proxy in between (docker-proxy, ``kubectl port-forward``) may turn the reset into an end of the stream.
"""


UNDECIDED = frozenset(
    {
        *(Outcome.SILENT, Outcome.REFUSED, Outcome.UNREACHABLE, Outcome.NAME_NOT_RESOLVED, Outcome.UNSTABLE),
        *(Outcome.NOT_TLS, Outcome.OVERLONG, Outcome.UNREADABLE, Outcome.UNACCEPTABLE_ANSWER),
        *(Outcome.NOT_ASKED, Outcome.LOCAL_FAULT),
        Outcome.CLIENT_CERT_NOT_SHOWN,
    }
)
"""Ends that neither accept nor refuse what was offered: nothing can be concluded from them."""


class Phase(Enum):
    """How far a connection had come when it ended."""

    CONNECT = "TCP connect"
    HANDSHAKE = "handshake"
    FIRST_READ = "first read after the handshake"

    def __str__(self) -> str:
        return self.name


class Alert(IntEnum):
    """The alerts of TLS 1.3 and before: RFC 8446 section 6 and RFC 5246 section 7.2."""

    CLOSE_NOTIFY = 0
    UNEXPECTED_MESSAGE = 10
    BAD_RECORD_MAC = 20
    DECRYPTION_FAILED = 21
    RECORD_OVERFLOW = 22
    DECOMPRESSION_FAILURE = 30
    HANDSHAKE_FAILURE = 40
    NO_CERTIFICATE = 41
    BAD_CERTIFICATE = 42
    UNSUPPORTED_CERTIFICATE = 43
    CERTIFICATE_REVOKED = 44
    CERTIFICATE_EXPIRED = 45
    CERTIFICATE_UNKNOWN = 46
    ILLEGAL_PARAMETER = 47
    UNKNOWN_CA = 48
    ACCESS_DENIED = 49
    DECODE_ERROR = 50
    DECRYPT_ERROR = 51
    EXPORT_RESTRICTION = 60
    PROTOCOL_VERSION = 70
    INSUFFICIENT_SECURITY = 71
    INTERNAL_ERROR = 80
    INAPPROPRIATE_FALLBACK = 86
    USER_CANCELED = 90
    NO_RENEGOTIATION = 100
    MISSING_EXTENSION = 109
    UNSUPPORTED_EXTENSION = 110
    CERTIFICATE_UNOBTAINABLE = 111
    UNRECOGNIZED_NAME = 112
    BAD_CERTIFICATE_STATUS_RESPONSE = 113
    BAD_CERTIFICATE_HASH_VALUE = 114
    UNKNOWN_PSK_IDENTITY = 115
    CERTIFICATE_REQUIRED = 116
    NO_APPLICATION_PROTOCOL = 120


_NUMBERS = frozenset(Alert)

_OUTCOME_OF_ALERT: Mapping[int, Outcome] = {
    Alert.CLOSE_NOTIFY: Outcome.CLOSED_IN_ORDER,
    Alert.HANDSHAKE_FAILURE: Outcome.HANDSHAKE_FAILURE,
    Alert.BAD_CERTIFICATE: Outcome.CLIENT_CERT_REJECTED,
    Alert.UNSUPPORTED_CERTIFICATE: Outcome.CLIENT_CERT_REJECTED,
    Alert.CERTIFICATE_REVOKED: Outcome.CLIENT_CERT_REJECTED,
    Alert.CERTIFICATE_EXPIRED: Outcome.CLIENT_CERT_EXPIRED,
    Alert.CERTIFICATE_UNKNOWN: Outcome.CLIENT_CERT_REJECTED,
    Alert.UNKNOWN_CA: Outcome.CLIENT_CERT_UNKNOWN_CA,
    Alert.ACCESS_DENIED: Outcome.CLIENT_CERT_REJECTED,
    Alert.PROTOCOL_VERSION: Outcome.PROTOCOL_VERSION,
    Alert.UNRECOGNIZED_NAME: Outcome.UNRECOGNIZED_NAME,
    Alert.CERTIFICATE_REQUIRED: Outcome.CLIENT_CERT_REQUIRED,
}

# Before TLS 1.3 no alert says "you sent no certificate": BoringSSL and OpenSSL send 40, Go sends 42.
_MEANS_NO_CERTIFICATE = frozenset({Alert.HANDSHAKE_FAILURE, Alert.BAD_CERTIFICATE})

# OpenSSL reports a received alert N as reason 1000 + N (SSL_AD_REASON_OFFSET); Python gives the name of
# that reason from OpenSSL's sslerr.h. The prefix is that of the version which introduced the alert. Python 3.11
# has no names for 115 and 120, but both only answer a ClientHello: they are read from the record, in the clear.
_ALERT_OF_REASON: Mapping[str, Alert] = {
    "SSLV3_ALERT_UNEXPECTED_MESSAGE": Alert.UNEXPECTED_MESSAGE,
    "SSLV3_ALERT_BAD_RECORD_MAC": Alert.BAD_RECORD_MAC,
    "TLSV1_ALERT_DECRYPTION_FAILED": Alert.DECRYPTION_FAILED,
    "TLSV1_ALERT_RECORD_OVERFLOW": Alert.RECORD_OVERFLOW,
    "SSLV3_ALERT_DECOMPRESSION_FAILURE": Alert.DECOMPRESSION_FAILURE,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": Alert.HANDSHAKE_FAILURE,
    "SSLV3_ALERT_NO_CERTIFICATE": Alert.NO_CERTIFICATE,
    "SSLV3_ALERT_BAD_CERTIFICATE": Alert.BAD_CERTIFICATE,
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": Alert.UNSUPPORTED_CERTIFICATE,
    "SSLV3_ALERT_CERTIFICATE_REVOKED": Alert.CERTIFICATE_REVOKED,
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": Alert.CERTIFICATE_EXPIRED,
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": Alert.CERTIFICATE_UNKNOWN,
    "SSLV3_ALERT_ILLEGAL_PARAMETER": Alert.ILLEGAL_PARAMETER,
    "TLSV1_ALERT_UNKNOWN_CA": Alert.UNKNOWN_CA,
    "TLSV1_ALERT_ACCESS_DENIED": Alert.ACCESS_DENIED,
    "TLSV1_ALERT_DECODE_ERROR": Alert.DECODE_ERROR,
    "TLSV1_ALERT_DECRYPT_ERROR": Alert.DECRYPT_ERROR,
    "TLSV1_ALERT_EXPORT_RESTRICTION": Alert.EXPORT_RESTRICTION,
    "TLSV1_ALERT_PROTOCOL_VERSION": Alert.PROTOCOL_VERSION,
    "TLSV1_ALERT_INSUFFICIENT_SECURITY": Alert.INSUFFICIENT_SECURITY,
    "TLSV1_ALERT_INTERNAL_ERROR": Alert.INTERNAL_ERROR,
    "TLSV1_ALERT_INAPPROPRIATE_FALLBACK": Alert.INAPPROPRIATE_FALLBACK,
    "TLSV1_ALERT_USER_CANCELLED": Alert.USER_CANCELED,
    "TLSV1_ALERT_NO_RENEGOTIATION": Alert.NO_RENEGOTIATION,
    "TLSV13_ALERT_MISSING_EXTENSION": Alert.MISSING_EXTENSION,
    "TLSV1_UNSUPPORTED_EXTENSION": Alert.UNSUPPORTED_EXTENSION,
    "TLSV1_CERTIFICATE_UNOBTAINABLE": Alert.CERTIFICATE_UNOBTAINABLE,
    "TLSV1_UNRECOGNIZED_NAME": Alert.UNRECOGNIZED_NAME,
    "TLSV1_BAD_CERTIFICATE_STATUS_RESPONSE": Alert.BAD_CERTIFICATE_STATUS_RESPONSE,
    "TLSV1_BAD_CERTIFICATE_HASH_VALUE": Alert.BAD_CERTIFICATE_HASH_VALUE,
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": Alert.CERTIFICATE_REQUIRED,
}


def outcome_of_alert(number: int, *, unanswered_request: bool = False) -> Outcome:
    """Name what an alert of the peer means.

    Args:
        number: The alert's description on the wire.
        unanswered_request: Whether the peer sent a CertificateRequest that we answered with no
            certificate; before TLS 1.3 this alone tells "none sent" from any other failure.
    """
    if unanswered_request and number in _MEANS_NO_CERTIFICATE:
        return Outcome.CLIENT_CERT_REQUIRED
    return _OUTCOME_OF_ALERT.get(number, Outcome.OTHER_ALERT)


def alert_of_reason(reason: str | None) -> Alert | None:
    """Return the received alert behind an ``ssl.SSLError.reason``; None when the fault was found on our side."""
    return _ALERT_OF_REASON.get(reason or "")


def alert_name(number: int) -> str:
    """Return the alert's name in the RFCs, such as ``unknown_ca``; ``unassigned`` when it has none."""
    return Alert(number).name.lower() if number in _NUMBERS else "unassigned"

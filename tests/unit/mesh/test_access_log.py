"""An access log: what became of a request has a name, and what is not known has the name for that."""

from __future__ import annotations

from typing import Any

import pytest

from meshproof.mesh import Logged, ProxyEnd
from meshproof.mesh.access_log import entries

TLS = "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:_"
UNTRUSTED = "X509_verify_cert:_certificate_verification_error_at_depth_0:_unable_to_get_local_issuer_certificate"
OTHER_NAME = "verify_SAN_list,_expected_SANs:_[a.example],_certificate_SANs:_[b.example]"
EXPIRED = "X509_verify_cert:_certificate_verification_error_at_depth_0:_certificate_has_expired"


@pytest.mark.parametrize(
    ("fields", "end"),
    [
        ({"response_code": 200, "response_flags": "-", "response_code_details": "via_upstream"}, ProxyEnd.ANSWERED),
        ({"response_code": 503, "response_flags": "URX,UF", "upstream_transport_failure_reason": f"{TLS}{UNTRUSTED}"},
         ProxyEnd.SERVER_CERT_UNTRUSTED),
        ({"response_code": 503, "response_flags": "UF", "upstream_transport_failure_reason": f"{TLS}{OTHER_NAME}"},
         ProxyEnd.SERVER_CERT_OTHER_NAME),
        ({"response_code": 503, "response_flags": "UF", "upstream_transport_failure_reason": f"{TLS}{EXPIRED}"},
         ProxyEnd.UNKNOWN),
        ({"response_code": 503, "response_flags": "UF",
          "upstream_transport_failure_reason": "TLS_error:_Secret_is_not_supplied_by_SDS"}, ProxyEnd.SECRET_MISSING),
        ({"response_code": 502, "response_flags": "-", "response_code_details": "direct_response",
          "route_name": "block_all"}, ProxyEnd.NOT_IN_REGISTRY),
        ({"response_code": 0, "response_flags": "UH", "upstream_cluster": "BlackHoleCluster"},
         ProxyEnd.NOT_IN_REGISTRY),
        ({"response_code": 503, "response_flags": "UF", "upstream_transport_failure_reason": None}, ProxyEnd.UNKNOWN),
        ({"response_code": 0, "response_flags": "DC", "response_code_details": "downstream_remote_disconnect"},
         ProxyEnd.UNKNOWN),
    ],
    ids=["answered", "another authority", "another name", "expired", "no secret", "no such host", "no such address",
         "no word", "the client left"],
)  # fmt: skip
def test_an_end_has_a_name(fields: dict[str, Any], end: ProxyEnd) -> None:
    """The lines are those of Envoy 1.39, and one that tells nothing of this kind is unknown."""
    assert Logged.read(fields).end is end


def test_other_lines_are_passed_over() -> None:
    """In a proxy's log there are lines of its agent too, and a line may be cut short."""
    log = 'info\tready\n{"level": "info"}\n{"path": "/cut\n{"path": "/", "response_flags": "-"}\n'
    assert list(entries(log)) == [{"path": "/", "response_flags": "-"}]

"""X-Forwarded-Client-Cert: each hop is read as Envoy has written it."""

from __future__ import annotations

import pytest

from meshproof.mesh import peers

INGRESS, SHOP = "spiffe://cluster.local/ns/istio-system/sa/ingress", "spiffe://cluster.local/ns/default/sa/shop"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({}, [], id="no header"),
        pytest.param({"x-forwarded-client-cert": []}, [], id="no value"),
        pytest.param({"x-forwarded-client-cert": ""}, [], id="an empty value"),
        pytest.param({"host": ["By=x"]}, [], id="another header"),
        pytest.param({"X-Forwarded-Client-Cert": f"URI={SHOP}"}, [{"URI": SHOP}], id="another case"),
        pytest.param(
            {"x-forwarded-client-cert": [f'By={SHOP};Hash=0a;Subject="";URI={INGRESS}']},
            [{"By": SHOP, "Hash": "0a", "Subject": "", "URI": INGRESS}],
            id="one hop",
        ),
        pytest.param(
            {"x-forwarded-client-cert": ["Hash=0a;URI=a,Hash=0b;URI=b"]},
            [{"Hash": "0a", "URI": "a"}, {"Hash": "0b", "URI": "b"}],
            id="two hops",
        ),
        pytest.param(
            {"x-forwarded-client-cert": ["Hash=0a", "Hash=0b"]}, [{"Hash": "0a"}, {"Hash": "0b"}], id="two values"
        ),
        pytest.param(
            {"x-forwarded-client-cert": ['Subject="O=a\\, b;c,CN=\\"d\\"";URI=a,URI=b']},
            [{"Subject": 'O=a\\, b;c,CN="d"', "URI": "a"}, {"URI": "b"}],
            id="separators and quotes in a subject",
        ),
        pytest.param({"x-forwarded-client-cert": "URI=a?b=c"}, [{"URI": "a?b=c"}], id="an equals sign in a value"),
    ],
)
def test_hops(headers: dict[str, str | list[str]], expected: list[dict[str, str]]) -> None:
    """The nearest peer comes last, and what stands in quotes separates nothing."""
    assert peers(headers) == expected


@pytest.mark.parametrize("value", ["URI", 'Subject="a', 'Subject="a"b;URI=c'])
def test_what_is_no_such_header(value: str) -> None:
    """What Envoy would not write is refused, and not read by halves."""
    with pytest.raises(ValueError, match="is not written as Envoy writes it"):
        peers({"x-forwarded-client-cert": value})

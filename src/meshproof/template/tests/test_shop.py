"""Shop: the gateway shows the shop's certificate, and lets through what the shop has."""

import json

import pytest

from meshproof.testing import Certificates, Eventually, Scenario, http

pytestmark = pytest.mark.upgrade  # `meshproof upgrade` tries it in each state, too
HOST = "shop.example"


def test_it_is_the_shop(scenario: Scenario, certificates: Certificates, eventually: Eventually) -> None:
    """A path of the shop is answered over a connection with its certificate; any other path is not there."""
    trust = certificates.authority("meshproof").pem

    def get(path: str) -> http.Answer:
        return http.get(scenario.address(443), path, host=HOST, trust=trust, headers={"X-Cart": "empty"})

    answer = eventually(lambda: get("/anything/cart"), lambda answer: answer.status, 200)
    assert answer.certificate == certificates[HOST].serial
    assert json.loads(answer.body)["headers"]["X-Cart"] == "empty"
    eventually(lambda: get("/back-door"), lambda answer: answer.status, 404)

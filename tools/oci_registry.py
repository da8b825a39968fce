"""What a registry says of an image: its manifest, whose hash is the image's digest.

Source: the OCI distribution specification, "Pulling manifests"; for the token
https://distribution.github.io/distribution/spec/auth/token/
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx

from meshproof.errors import MachineError
from meshproof.settings import TIMEOUTS

_DOCKER_HUB = "https://registry-1.docker.io"
_ACCEPT = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)
"""Of an image for several machines it is the index that is asked for, and whose digest is taken."""
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True)
class Manifest:
    """What an image is made of, or the index of those for several machines.

    Attributes:
        content: As the registry sent it.
    """

    content: bytes

    @property
    def digest(self) -> str:
        """The digest that an image is pulled by."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"


@dataclass(frozen=True)
class Registries:
    """Registries, and the mirrors that stand for some of them.

    Attributes:
        mirrors: The address of each mirror, by the host of the registry that it stands for.
    """

    mirrors: Mapping[str, str]

    def manifest(self, image: str) -> Manifest:
        """Ask for the manifest of an image.

        Args:
            image: Its whole name, with its tag (``docker.io/istio/pilot:1.31.1``; without one it is ``latest``) or its
                digest.

        Raises:
            MachineError: The registry can't be reached, has no such image, or does not show it to everybody.
        """
        host, _, name = image.partition("/")
        repository, _, reference = name.partition("@" if "@" in name else ":")
        url = f"{self._api(host)}/v2/{repository}/manifests/{reference or 'latest'}"
        answer = self._get(url, {"Accept": _ACCEPT})
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            token = self._token(answer.headers.get("WWW-Authenticate", ""), url)
            answer = self._get(url, {"Accept": _ACCEPT, "Authorization": f"Bearer {token}"})
        if answer.status_code != httpx.codes.OK:
            raise MachineError(f"{url} was asked for, and the registry answered with status {answer.status_code}.")
        return Manifest(answer.content)

    def text(self, url: str) -> str | None:
        """Fetch a file; None where there is none.

        Raises:
            MachineError: It can't be fetched.
        """
        answer = self._get(url, {})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.status_code != httpx.codes.OK:
            raise MachineError(f"{url} was asked for, and the answer had status {answer.status_code}.")
        return answer.text

    def _api(self, host: str) -> str:
        if host in self.mirrors:
            return self.mirrors[host]
        if host == "docker.io":
            return _DOCKER_HUB
        local = host.partition(":")[0] in ("localhost", "127.0.0.1")  # without TLS, as Docker does
        return f"{'http' if local else 'https'}://{host}"

    def _token(self, challenge: str, url: str) -> str:
        asked = dict(_PARAMETER.findall(challenge))
        if not challenge.startswith("Bearer ") or "realm" not in asked:
            raise MachineError(f"{url} is not for everybody: the registry asks for {challenge or 'a password'}.")
        realm = httpx.URL(asked.pop("realm")).copy_merge_params(asked)
        answer = self._get(str(realm), {})
        try:
            said: dict[str, Any] = answer.json()
            return str(said.get("token") or said["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            raise MachineError(f"{realm} should give a token for {url}, and gave none.") from error

    def _get(self, url: str, headers: Mapping[str, str]) -> httpx.Response:
        try:
            return self._client.get(url, headers=dict(headers))
        except httpx.HTTPError as error:
            raise MachineError(
                f"{url} could not be asked: {error or type(error).__name__}. Is the network there?"
            ) from error

    @cached_property
    def _client(self) -> httpx.Client:
        return httpx.Client(follow_redirects=True, timeout=TIMEOUTS.program)

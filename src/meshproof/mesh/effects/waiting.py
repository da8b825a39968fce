"""Waiting until the proxies show what documents ask for, and no longer what earlier ones asked for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from meshproof.cluster.kube import Kube
from meshproof.machine.wait import Patience
from meshproof.mesh.effects.effect import Effect
from meshproof.mesh.envoy import Proxies, ProxyConfig, draining
from meshproof.settings import TIMEOUTS

_LEAST = 5.0  # seconds for a configuration to arrive, however little patience is left


def gone_with(effects: Sequence[Effect], before: Sequence[Effect]) -> list[Effect]:
    """Return which effects from before have to be gone when these are there.

    One that another replaces need not: what is left to the mesh may be what was asked for before.
    """
    return [
        effect
        for effect in before
        if effect not in effects and not effect.outlasts and not any(new.replaces(effect) for new in effects)
    ]


def wait_for(kube: Kube, effects: Sequence[Effect], before: Sequence[Effect], patience: Patience) -> None:
    """Wait until the proxies show some effects everywhere, and none from before that is not among them.

    What was for the proxies of an application that is gone itself is gone with them.

    Where a change is on connections that other proxies keep, those from before have to be closed as well: each would
    answer one more request as before.

    Raises:
        NotSettled: Which effect is missing, or still there.
        ClusterError: A proxy refuses what it was told.
    """
    asked = "as the manifests ask"
    gone = gone_with(effects, before)
    needed = {effect.proxies for effect in effects}
    for proxies in dict.fromkeys(effect.proxies for effect in (*effects, *gone)):

        def observe(proxies: Proxies = proxies) -> str:
            configs = ProxyConfig.of(kube, proxies, needed=proxies in needed)
            missing = [each.what for each in effects if each.proxies == proxies and not each.everywhere(configs)]
            left = [each.what for each in gone if each.proxies == proxies and not each.nowhere(configs)]
            wrong = [f"{what} is missing" for what in missing] + [f"{what} is still there" for what in left]
            return "; ".join(wrong) or asked

        patience.until(
            observe,
            asked,
            what=f"The configuration of {proxies}",
            timeout=TIMEOUTS.configuration,
            least=_LEAST,
            interval=0.2,
        )
    changed = [effect for effect in (*effects, *before) if (effect in effects) is not (effect in before)]
    for proxies in dict.fromkeys(effect.proxies for effect in changed if effect.drains):
        patience.until(
            partial(draining, kube, proxies, needed=proxies in needed),
            0,
            what=f"The number of filter chains of {proxies} that drain",
            timeout=TIMEOUTS.configuration,
            least=_LEAST,
            interval=0.2,
        )

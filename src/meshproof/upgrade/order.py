"""What is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from meshproof.upgrade.acknowledgements import Acknowledgement
from meshproof.upgrade.evidence import Budget, Images, Side, Strategy
from meshproof.upgrade.overlays import Overlay, documents_of
from meshproof.upgrade.plan import Stage, stages


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for.

    Attributes:
        before: The mesh before.
        after: The mesh after.
        strategy: How the one is made the other.
        rollback: Whether to turn round half-way.
        rows: What pytest is told: which rows to try in each state.
        budget: What the upgrade may cost.
        acknowledgements: What may be otherwise afterwards.
        directory: Where everything is left.
        overlays: What the user has for both sides.
        to_overlays: What there is for the new side only.
        images: Where the images come from; nothing until that is looked at.
    """

    before: Side
    after: Side
    strategy: Strategy
    rollback: bool
    rows: Sequence[str]
    budget: Budget
    acknowledgements: Sequence[Acknowledgement]
    directory: Path
    overlays: tuple[Overlay, ...] = ()
    to_overlays: tuple[Overlay, ...] = ()
    images: Images = field(default_factory=Images)

    @property
    def all_overlays(self) -> tuple[Overlay, ...]:
        """What the user has for the new side."""
        return (*self.overlays, *self.to_overlays)

    @property
    def stages(self) -> list[Stage]:
        """The states, and what leads to each."""
        applied = bool(documents_of(self.to_overlays))
        return stages(self.before, self.after, self.strategy, rollback=self.rollback, applied=applied)

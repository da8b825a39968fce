"""What pictures of traffic are drawn with: time from left to right, and how many there were as a height."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a moment is.

    Attributes:
        first_ns: The moment at the left end.
        last_ns: That at the right end.
        left: Where the left end is.
        width: How far the right end is from it.
        bucket_ns: How long the times are in which is counted.
    """

    first_ns: int
    last_ns: int
    left: float
    width: float
    bucket_ns: int

    def across(self, at_ns: int) -> float:
        """Return where a moment is."""
        return round(self.left + self.width * (at_ns - self.first_ns) / (self.last_ns - self.first_ns), 2)

    def counted(self, times_ns: Iterable[int]) -> Counter[int]:
        """Count moments in each bucket, by its number; the first is 0."""
        return Counter((at_ns - self.first_ns) // self.bucket_ns for at_ns in times_ns)

    def start(self, bucket: int) -> float:
        """Return where a bucket begins."""
        return self.across(min(self.first_ns + bucket * self.bucket_ns, self.last_ns))

    def bars(self, counts: Mapping[int, int], *, most: int, foot: float, height: float) -> str:
        """Return the path of SVG of bars; those beside each other that are as high are one.

        Args:
            counts: How many there were in each bucket.
            most: How many are as high as the lane.
            foot: Where the lane's foot is.
            height: How high the lane is.
        """
        drawn = []
        ordered = enumerate(sorted(counts.items()))
        for (_, count), run in groupby(ordered, key=lambda item: (item[1][0] - item[0], item[1][1])):
            buckets = [bucket for _, (bucket, _) in run]
            end = self.start(buckets[-1] + 1)
            drawn.append(f"M{self.start(buckets[0])} {foot}v{-round(height * count / most, 2)}H{end}V{foot}z")
        return "".join(drawn)

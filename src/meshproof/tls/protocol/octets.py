"""Reading and writing the presentation language of TLS (RFC 8446 section 3)."""

from __future__ import annotations


class Cursor:
    """Reads octets from the front.

    Args:
        data: What to read.
    """

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many octets are left."""
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        """Return the next octets.

        Raises:
            ValueError: There are not as many.
        """
        if count > self.left:
            raise ValueError(f"{count} octets are due where {self.left} are left")
        self._at += count
        return self._data[self._at - count : self._at]

    def uint(self, octets: int) -> int:
        """Return the next number.

        Raises:
            ValueError: As for ``take``.
        """
        return int.from_bytes(self.take(octets), "big")

    def vector(self, octets: int) -> bytes:
        """Return what is behind a length of so many octets (RFC 8446 3.4).

        Raises:
            ValueError: As for ``take``.
        """
        return self.take(self.uint(octets))


def extensions(data: bytes) -> list[tuple[int, bytes]]:
    """Return the extensions behind their common length, each as code and body.

    Raises:
        ValueError: A length is wrong.
    """
    cursor = Cursor(data)
    pairs = []
    while cursor.left:
        pairs.append((cursor.uint(2), cursor.vector(2)))
    return pairs


def vector(length_octets: int, body: bytes) -> bytes:
    """Put the length in front (RFC 8446 3.4)."""
    return len(body).to_bytes(length_octets, "big") + body

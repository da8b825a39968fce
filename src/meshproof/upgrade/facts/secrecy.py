"""How a secret stands in a fact: it can be compared, and not be read."""

from __future__ import annotations

import hashlib


def digest(text: str) -> str:
    """Return the beginning of the SHA-256 of a text, 16 hexadecimal digits."""
    return f"SHA-256 {hashlib.sha256(text.encode()).hexdigest()[:16]}"

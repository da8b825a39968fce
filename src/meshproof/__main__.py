"""The `meshproof` command, and `python -m meshproof`."""

from __future__ import annotations

from meshproof.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()

"""The `meshproof` command, and `python -m meshproof`."""

from __future__ import annotations

import gc

_OBJECTS = 100_000  # as many as most commands ever make; the collector looks after each 700 unless it is told


def main() -> None:
    """Run the command, imported only when the garbage collector is told to wait: most objects are made by imports."""
    gc.set_threshold(_OBJECTS)
    from meshproof.cli.main import main as run  # noqa: PLC0415 - after that

    run()


if __name__ == "__main__":
    main()

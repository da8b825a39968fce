"""Where the checkout is, for tests that look at its files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = ROOT / "manifests" / "scenarios"
APPLICATIONS = ROOT / "manifests" / "apps"

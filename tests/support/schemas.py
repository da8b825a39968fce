"""Schemas of our documents, judged by another implementation of JSON Schema than ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator


def schema(file: Path) -> Draft202012Validator:
    """Return the schema in a file, ready to judge."""
    text = json.loads(file.read_text())
    Draft202012Validator.check_schema(text)
    return Draft202012Validator(text)


def objects(node: object) -> list[dict[str, Any]]:
    """Return every schema of an object in a schema."""
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    own = [node] if isinstance(node, dict) and node.get("type") == "object" else []
    return own + [found for each in inner for found in objects(each)]

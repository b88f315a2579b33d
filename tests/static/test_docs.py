"""The documentation knows every command and every setting, and its links lead somewhere."""

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from invoke.loader import FilesystemLoader

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def pages(root: Path) -> list[Path]:
    top = [root / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [*(page for page in top if page.exists()), *sorted((root / "docs").rglob("*.md"))]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to a page's headings."""
    titles = re.findall(r"(?m)^#+ (.+)$", page.read_text())
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def keys(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, part in schema["properties"].items():
        path = f"{prefix}{name}"
        if "properties" in part:
            yield from keys(part, f"{path}.")
        else:
            yield path


def test_relative_links_lead_somewhere(root: Path) -> None:
    broken = []
    for page in pages(root):
        for target in LINK.findall(page.read_text()):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            there = page.parent / path if path else page
            if not there.exists() or (anchor and anchor not in anchors(there)):
                broken.append(f"{page.relative_to(root)}: {target}")
    assert not broken


def test_every_task_is_in_the_reference(root: Path) -> None:
    spec = FilesystemLoader(start=str(root)).find("tasks")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (root / "docs/reference/commands.md").read_text()
    rows = set(re.findall(r"(?m)^\| `([a-z.]+)` \|", text))
    assert set(Collection.from_module(module).task_names) <= rows


def test_every_setting_is_in_the_reference_and_no_other(root: Path) -> None:
    schema = json.loads((root / "schema/attributes.schema.json").read_text())
    text = (root / "docs/reference/settings.md").read_text()
    assert set(re.findall(r"(?m)^\| `([a-z0-9_.]+)` \|", text)) == set(keys(schema))


def test_decisions_have_their_parts_and_are_short(root: Path) -> None:
    found = sorted((root / "docs/adr").glob("*.md"))
    assert [int(page.name[:4]) for page in found] == list(range(1, len(found) + 1))
    for page in found:
        text = page.read_text()
        assert text.count("\n") <= 40, page.name
        assert re.search(r"(?m)^Date: \d{4}-\d\d-\d\d$", text), page.name
        parts = ["Context", "Decision", "Consequences"]
        assert re.findall(r"(?m)^## (.+)$", text) == parts, page.name
        assert "\nStatus: " in text, page.name

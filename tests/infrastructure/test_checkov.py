"""checkov finds nothing in the stack, and what it is told to skip has its reason beside it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from hubfleet.clients import process
from hubfleet.state import ROOT
from tests.infrastructure.conftest import copy_to
from tests.infrastructure.tools import checkov

SKIP = re.compile(r"#checkov:skip=(CKV2?_AWS_\d+)(?::(.*))?")

LEAST_PASSED = 200
"""Checks that pass now; far fewer would mean that files are no longer read."""


@pytest.fixture(scope="session")
def program() -> Path:
    return checkov()


def scan(program: Path, folder: Path) -> dict[str, Any]:
    flags = ["--framework", "terraform", "--skip-download", "-o", "json"]
    argv: list[str | Path] = [program, "-d", folder, *flags]
    done = process.run(argv, timeout=300, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_checkov_finds_nothing(program: Path) -> None:
    found = scan(program, ROOT / "terraform")
    failed = [
        f"{each['check_id']} {each['resource']}: {each['check_name']}"
        for each in found["results"]["failed_checks"]
    ]
    assert failed == []
    assert found["results"]["parsing_errors"] == []
    assert found["summary"]["passed"] > LEAST_PASSED


def test_checkov_finds_what_is_there(program: Path, tmp_path: Path) -> None:
    stack = copy_to(tmp_path)
    storage = stack / "storage.tf"
    storage.write_text(storage.read_text().replace("encrypted       = true", "encrypted = false"))
    failed = scan(program, stack)["results"]["failed_checks"]
    assert "CKV_AWS_42" in {each["check_id"] for each in failed}


def test_every_skip_has_its_reason_and_is_needed(program: Path) -> None:
    skips = [
        match
        for path in sorted((ROOT / "terraform").rglob("*.tf"))
        for match in SKIP.finditer(path.read_text())
    ]
    assert [skip[1] for skip in skips if not (skip[2] or "").strip()] == []
    skipped = scan(program, ROOT / "terraform")["results"]["skipped_checks"]
    assert {skip[1] for skip in skips} == {each["check_id"] for each in skipped}

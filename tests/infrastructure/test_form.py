"""The stack is written as OpenTofu writes it, valid, and decides as its own tests say."""

import re
from pathlib import Path

from hubfleet.state import ROOT
from tests.infrastructure.tools import Tofu


def test_it_is_formatted(tofu: Tofu) -> None:
    done = tofu.run(ROOT / "terraform", "fmt", "-check", "-diff", "-recursive")
    assert done.returncode == 0, done.stdout


def test_the_form_of_the_overrides_is_checked_too(tofu: Tofu) -> None:
    done = tofu.run(ROOT / "tests" / "infrastructure", "fmt", "-check", "-diff")
    assert done.returncode == 0, done.stdout


def test_it_is_valid(tofu: Tofu, stack: Path) -> None:
    done = tofu.run(stack, "validate")
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_attribute_that_no_resource_has_is_not_valid(tofu: Tofu, stack: Path) -> None:
    wrong = stack / "wrong.tf"
    wrong.write_text('resource "aws_vpc" "wrong" {\n  cidr_blok = "x"\n}\n')
    try:
        done = tofu.run(stack, "validate")
    finally:
        wrong.unlink()
    assert done.returncode == 1
    assert "cidr_blok" in done.stderr


def test_its_own_tests_pass(tofu: Tofu, stack: Path) -> None:
    done = tofu.run(stack, "test", timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Success! [1-9]\d* passed, 0 failed", done.stdout), done.stdout

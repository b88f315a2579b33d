"""A part that runs beside others is told of, however those end."""

import io
import sys

import pytest

from hubfleet.console import Console
from hubfleet.errors import CommandError
from hubfleet.tasks.check import Part, beside


def _part(code: int) -> Part:
    return Part("slow part", [sys.executable, "-c", f"print('its words'); exit({code})"], True)


def test_what_failed_beside_a_failure_is_told_and_does_not_hide_it() -> None:
    said = io.StringIO()
    with (
        pytest.raises(CommandError, match="the block"),
        beside(Console(stdout=said, stderr=said), _part(1)),
    ):
        raise CommandError("the block failed")
    assert "slow part ... failed" in said.getvalue()
    assert "its words" in said.getvalue()


def test_what_fails_alone_fails_the_block() -> None:
    said = io.StringIO()
    with (
        pytest.raises(CommandError, match="slow part failed"),
        beside(Console(stdout=said, stderr=said), _part(1)),
    ):
        pass


def test_what_goes_well_is_told() -> None:
    said = io.StringIO()
    with beside(Console(stdout=said, stderr=said), _part(0)):
        pass
    assert "slow part ... ok" in said.getvalue()

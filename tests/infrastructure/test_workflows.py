"""zizmor finds nothing in the workflows of GitHub, and finds what is there."""

from pathlib import Path

import pytest

from hubfleet.clients import process
from hubfleet.state import ROOT
from tests.infrastructure.tools import zizmor

WORKFLOWS = ROOT / ".github" / "workflows"


@pytest.fixture(scope="module")
def program() -> Path:
    return zizmor()


def audit(program: Path, target: Path) -> process.Completed:
    # What needs GitHub's answers is left out: the pins' versions stand beside them.
    argv: list[str | Path] = [program, "--offline", "--no-progress", "--format", "plain"]
    return process.run([*argv, target], timeout=120, check=False)


def test_zizmor_finds_nothing(program: Path) -> None:
    done = audit(program, WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No findings to report" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('--env "$ENVIRONMENT"', "--env ${{ inputs.confirm }}", "template-injection"),
        ("@a1320f892987e89d278cc92dc5adc984fb93aca4 # v2.0.2", "@v2", "unpinned-uses"),
        (
            "  workflow_dispatch:",
            "  pull_request_target:\n  workflow_dispatch:",
            "dangerous-triggers",
        ),
        ("          persist-credentials: false\n", "          fetch-depth: 1\n", "artipacked"),
    ],
)
def test_zizmor_finds_what_is_there(
    program: Path, tmp_path: Path, old: str, new: str, said: str
) -> None:
    text = (WORKFLOWS / "fleet.yml").read_text()
    assert old in text
    (tmp_path / "fleet.yml").write_text(text.replace(old, new))
    done = audit(program, tmp_path / "fleet.yml")
    assert done.returncode != 0
    assert said in done.stdout

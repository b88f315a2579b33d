"""The workflows of GitHub keep their rules, each seen red; what they call is there."""

import re
from pathlib import Path

import pytest

from tests.static.workflow_rules import RULES

ENDED = "changes_are_ended_before_their_machine"

FLIPS = [
    ("actions_are_pinned", "ci", "@34e114876b0b11c390a56381ad16ebd13914f8d5 # v4.3.1", "@v4"),
    ("actions_are_pinned", "bake", " # v3.1.0", ""),
    ("permissions_are_least", "ci", "permissions: {}", "permissions: write-all"),
    ("permissions_are_least", "ci", "contents: read", "contents: write"),
    ("permissions_are_least", "plan", "id-token: write", "pull-requests: write"),
    ("permissions_are_least", "ci", "contents: read", "id-token: write"),
    ("nothing_of_others_starts_it", "plan", "  pull_request:", "  pull_request_target:"),
    ("no_secrets", "fleet", "vars.HUBFLEET_AWS", "secrets.HUBFLEET_AWS"),
    (
        "runs_hold_no_expressions",
        "fleet",
        '--env "$ENVIRONMENT"',
        "--env ${{ inputs.environment }}",
    ),
    ("jobs_end_and_do_not_meet", "ci", "timeout-minutes: 30\n", "continue-on-error: false\n"),
    ("jobs_end_and_do_not_meet", "bake", "timeout-minutes: 90", "timeout-minutes: 300"),
    ("jobs_end_and_do_not_meet", "plan", "concurrency:\n  group", "defaults:\n  group"),
    ("jobs_end_and_do_not_meet", "fleet", "in-progress: false", "in-progress: true"),
    (
        "roles_that_change_are_protected",
        "fleet",
        "    environment: ${{ inputs",
        "    x: ${{ inputs",
    ),
    ("roles_that_change_are_protected", "bake", "    environment: ${{", "    x: ${{"),
    ("roles_that_change_are_protected", "plan", "head.repo.full_name ==", "head.ref =="),
    ("accounts_are_masked", "plan", "mask-aws-account-id: true", "mask-aws-account-id: false"),
    (ENDED, "fleet", "--signal=INT", "--signal=KILL"),
    (ENDED, "fleet", "--foreground ", ""),
    (ENDED, "fleet", "--kill-after=16m", "--kill-after=10m"),
    (ENDED, "fleet", " 90m ", " 100m "),
    ("checkouts_keep_no_token", "bake", "persist-credentials: false", "fetch-depth: 1"),
    ("environments_are_ours", "plan", "[staging, production]", "[staging]"),
    ("environments_are_ours", "fleet", "[staging, production]", "[staging, test]"),
    ("replacement_is_agreed_to", "fleet", "${AGREED:+--yes}", "--yes"),
    ("replacement_is_agreed_to", "fleet", "|| inputs.replace)", "|| true)"),
    ("replacement_is_agreed_to", "fleet", "default: false", "default: true"),
    ("removal_is_confirmed", "fleet", '$CONFIRM != "$ENVIRONMENT"', '$CONFIRM = ""'),
]


@pytest.fixture(scope="module")
def texts(root: Path) -> dict[str, str]:
    return {path.stem: path.read_text() for path in (root / ".github/workflows").iterdir()}


@pytest.mark.parametrize("name", RULES)
def test_every_workflow_keeps(texts: dict[str, str], name: str) -> None:
    assert {stem: found for stem, text in texts.items() if (found := list(RULES[name](text)))} == {}


@pytest.mark.parametrize(("rule", "file", "old", "new"), FLIPS)
def test_a_flip_is_noticed(texts: dict[str, str], rule: str, file: str, old: str, new: str) -> None:
    assert old in texts[file]
    assert list(RULES[rule](texts[file].replace(old, new)))


def test_every_rule_was_seen_red() -> None:
    assert {rule for rule, *_ in FLIPS} == set(RULES)


def test_all_that_is_asked_of_a_workflow_is_there(texts: dict[str, str]) -> None:
    assert texts.keys() == {"ci", "plan", "fleet", "bake"}


def test_what_workflows_read_of_the_account_is_what_the_roles_stack_says(
    root: Path, texts: dict[str, str]
) -> None:
    read = set(re.findall(r"\]\.(AWS_[A-Z_]+)", "".join(texts.values())))
    said = set(
        re.findall(r"(AWS_[A-Z_]+) +=", (root / "terraform/bootstrap/outputs.tf").read_text())
    )
    assert read == said


def test_each_role_is_taken_in_its_place(texts: dict[str, str]) -> None:
    taken = {stem: set(re.findall(r"\.AWS_(\w+)_ROLE", text)) for stem, text in texts.items()}
    assert taken == {"ci": set(), "plan": {"PLAN"}, "fleet": {"APPLY"}, "bake": {"BAKE"}}

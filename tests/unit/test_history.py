"""Events as data bag items, and the story that they tell."""

import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from hubfleet.clients import git
from hubfleet.errors import PreconditionError
from hubfleet.history import Event, Outcome, What, lines, new_event, parse, tell
from hubfleet.publication import require_committed
from hubfleet.state import Deployment

A, B, C = "a" * 64, "b" * 64, "c" * 64


def event(what: What, before: str, after: str, **values: Any) -> Event:
    revisions = {"before": {"hub": before} if before else {}, "after": {"hub": after}}
    return new_event("local", what, **{"outcome": Outcome.OK, **revisions, **values})


def test_an_event_survives_its_data_bag() -> None:
    made = event(What.ROLLOUT, A, B, failed="hub i-1: service[x]: no", outcome=Outcome.STOPPED)
    assert parse(asdict(made)) == made
    assert parse(asdict(made) | {"of a later version": 1}) == made
    assert made.id.startswith("local-20")


def test_ids_of_events_sort_by_time() -> None:
    ids = [event(What.PUSH, A, B).id for _ in range(20)]
    assert [i[:-4] for i in ids] == sorted(i[:-4] for i in ids)


@pytest.mark.parametrize(
    "item",
    [
        None,
        [],
        {"id": "local-x"},
        asdict(event(What.PUSH, A, B)) | {"what": "teleport"},
        asdict(event(What.PUSH, A, B)) | {"after": "gone"},
        {k: v for k, v in asdict(event(What.PUSH, A, B)).items() if k != "who"},
    ],
)
def test_what_is_no_event_is_none(item: object) -> None:
    assert parse(item) is None


def test_the_story_has_a_line_for_every_event_and_for_what_nobody_recorded() -> None:
    told = tell(
        [
            event(What.DEPLOY, "", A, commit="1234567890abcdef", dirty=True),
            event(What.VERIFY, "", A),
            event(What.ROLLOUT, A, B, outcome=Outcome.STOPPED, failed="hub i-1: service[x]: no"),
            event(What.ROLLBACK, C, A),
        ]
    )
    assert [line["what"] for line in told] == ["deploy", "verify", "rollout", "outside", "rollback"]
    for line in told:
        line.update({"when": "2026-01-02T03:04:05+00:00", "who": "ann@desk"})
    assert lines(told) == [
        "2026-01-02 03:04:05Z  deploy    ok           ann@desk  commit 1234567890 with edits",
        "    hub none -> aaaaaaaaaa",
        "2026-01-02 03:04:05Z  verify    ok           ann@desk  no commit",
        "    of hub aaaaaaaaaa",
        "2026-01-02 03:04:05Z  rollout   stopped      ann@desk  no commit",
        "    hub aaaaaaaaaa -> bbbbbbbbbb",
        "    hub i-1: service[x]: no",
        "(published by another way, such as `chef push`)",
        "    hub bbbbbbbbbb -> cccccccccc",
        "2026-01-02 03:04:05Z  rollback  ok           ann@desk",
        "    hub cccccccccc -> aaaaaaaaaa",
    ]


def run(root: Path, *argv: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *who, *argv], cwd=root, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A git checkout with one commit."""
    run(tmp_path, "init", "-q")
    (tmp_path / "roles").mkdir()
    (tmp_path / "roles" / "hub.json").write_text("{}")
    run(tmp_path, "add", "-A")
    run(tmp_path, "commit", "-qm", "one")
    return tmp_path


def test_a_checkout_says_what_is_not_committed(tree: Path) -> None:
    clean = git.look(tree, ["roles"])
    assert (len(clean.commit), clean.edited, clean.dirty) == (40, [], False)
    (tree / "roles" / "hub.json").write_text("{ }")
    (tree / "roles" / "ä new.json").write_text("{}")
    (tree / "elsewhere").write_text("")
    assert sorted(git.look(tree, ["roles"]).edited or ()) == ["roles/hub.json", "roles/ä new.json"]


def test_a_folder_of_another_checkout_is_none(tree: Path) -> None:
    assert git.look(tree / "roles", ["."]) == git.Tree("", None)


def test_only_local_takes_what_is_not_committed(tree: Path) -> None:
    staging = Deployment("staging", "staging", tree)
    require_committed(staging, dirty_ok=False)
    (tree / "roles" / "hub.json").write_text("{ }")
    with pytest.raises(PreconditionError, match=r"not committed: roles/hub\.json.*staging"):
        require_committed(staging, dirty_ok=False)
    require_committed(staging, dirty_ok=True)
    require_committed(replace(staging, environment="local"), dirty_ok=False)


def test_outside_of_git_nobody_can_tell_what_was_published(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="no git checkout"):
        require_committed(Deployment("p", "production", tmp_path), dirty_ok=False)

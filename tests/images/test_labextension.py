"""What JupyterLab's extension tells a student, look by look; the hub's image has the Node.js."""

import json
from pathlib import Path
from typing import Any

from hubfleet import images
from hubfleet.clients import docker
from hubfleet.state import ROOT

EXTENSION = ROOT / "images" / "notebook" / "labextension" / "static" / "remoteEntry.js"
PAGE = Path(__file__).with_name("notice.js")

NOTICE = {"id": "i-1-100", "sentence": "it is taken back"}
LATER = {**NOTICE, "sentence": "it is taken back soon"}
QUIET = {"notice": None, "started": "one"}
WARNED = {"notice": NOTICE, "started": "one"}


def told(answers: list[dict[str, Any]]) -> list[list[Any]]:
    """Return the commands that JupyterLab got: number of the look, command, id, message."""
    mounts = {str(file): {"bind": f"/t/{file.name}", "mode": "ro"} for file in (EXTENSION, PAGE)}
    said = docker.client().containers.run(
        images.reference("hub"),
        [f"/t/{PAGE.name}", f"/t/{EXTENSION.name}", json.dumps(answers)],
        entrypoint="node",
        volumes=mounts,
        network_mode="none",
        remove=True,
    )
    found: list[list[Any]] = json.loads(said)
    return found


def test_without_a_notice_nothing_is_said() -> None:
    assert told([QUIET, {}, QUIET]) == []


def test_a_server_that_moves_is_announced_missed_and_back() -> None:
    gone: dict[str, Any] = {"notice": NOTICE}
    moved = {"notice": NOTICE, "started": "two"}
    found = told([QUIET, WARNED, {"notice": LATER, "started": "one"}, gone, gone, moved, moved])
    assert [(look, command, of) for look, command, of, _ in found] == [
        (1, "notify", ""),
        (2, "update-notification", "n1"),
        (3, "dismiss-notification", "n1"),
        (3, "notify", ""),
        (4, "update-notification", "n2"),
        (5, "dismiss-notification", "n2"),
        (5, "notify", ""),
    ]
    words = [message for *_, message in found if message]
    assert words[:2] == ["it is taken back", "it is taken back soon"]
    assert "comes back by itself" in words[2]
    assert "on another machine now" in words[-1]
    assert all(len(each) <= 140 for each in words)


def test_a_notice_that_is_taken_back_is_cleared() -> None:
    found = told([WARNED, QUIET, QUIET])
    assert [command for _, command, *_ in found] == ["notify", "dismiss-notification"]


def test_a_hub_that_is_away_changes_nothing() -> None:
    found = told([WARNED, {"started": "one"}, WARNED])
    assert [command for _, command, *_ in found] == ["notify", "update-notification"]


def test_where_nobody_answers_the_server_counts_as_moving() -> None:
    found = told([WARNED, {}, WARNED])
    words = [message for *_, message in found if message]
    assert ["comes back by itself" in each for each in words] == [False, True, False]

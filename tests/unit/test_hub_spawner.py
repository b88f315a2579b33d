"""The spawner against an engine that answers from a script: no hub, no Docker."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from docker.errors import APIError

from hubfleet import settings
from hubfleet.hub import homes, spawner
from hubfleet.hub.line import Line
from hubfleet.hub.placement import Placement
from hubfleet.hub.spawner import FleetSpawner, StartFailed
from hubfleet.hub.wait import WaitingRoom

Answer = Any


def refusal(status: int, words: str) -> APIError:
    """The error that docker-py makes of an answer."""
    response = requests.Response()
    response.status_code = status
    return APIError(words, response=response, explanation=words)


class Engine:
    """One service at most, whose tasks the test sets."""

    def __init__(self) -> None:
        self.service: dict[str, Any] | None = None
        self.tasks: list[dict[str, Any]] = []
        self.down = False
        self.created = 0

    def answer(self, method: str, *args: Any, **kwargs: Any) -> Answer:
        """Answer one call of docker-py's API client."""
        if self.down:
            raise requests.ConnectionError("the engine does not answer")
        if method == "create_service":
            self.created += 1
            self.service = {"ID": f"id{self.created}", **kwargs}
            return self.service
        if method == "tasks":
            return list(self.tasks)
        known = self.service is not None and args[0] in {self.service["ID"], self.service["name"]}
        if not known:
            raise refusal(404, "no such service")
        if method == "remove_service":
            self.service = None
            return True
        assert method == "inspect_service"
        return self.service

    def task(self, state: str, desired: str = "running", error: str = "") -> dict[str, Any]:
        """A task of the service, newer than all before."""
        made = {
            "ServiceID": self.service["ID"] if self.service else "id1",
            "CreatedAt": f"{len(self.tasks):04}",
            "DesiredState": desired,
            "Status": {"State": state, "Err": error},
        }
        self.tasks.append(made)
        return made


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def make(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., FleetSpawner]:
    """Make a spawner of one user, as the hub does, with the engine above."""

    def make_one(**hub: int) -> FleetSpawner:
        local = settings.load("local")
        storage = local.storage.model_copy(update={"homes": str(tmp_path)})
        limits = local.hub.model_copy(update=hub)
        view = local.model_copy(update={"storage": storage, "hub": limits})
        user = SimpleNamespace(name="ann", id=1, url="/user/ann/", escaped_name="ann")
        options = {"settings": view, "line": Line(1), "image": "notebook:1", "cmd": ["serve"]}
        options["placement"] = Placement(tmp_path / "report.json")
        options["report_file"] = tmp_path / "report.json"
        options["room"] = WaitingRoom()
        one = FleetSpawner(user=user, orm_spawner=SimpleNamespace(name="", server=None), **options)
        one._server = SimpleNamespace(base_url="/user/ann/")
        return one

    async def docker(_: FleetSpawner, method: str, *args: Any, **kwargs: Any) -> Answer:
        return engine.answer(method, *args, **kwargs)

    async def answers(_: str) -> None:
        return

    monkeypatch.setattr(FleetSpawner, "docker", docker)
    monkeypatch.setattr(FleetSpawner, "get_env", lambda _: {})
    monkeypatch.setattr(FleetSpawner, "get_args", lambda _: [])
    monkeypatch.setattr(FleetSpawner, "server", property(lambda self: self._server))
    monkeypatch.setattr(spawner, "until_answers", answers)
    monkeypatch.setattr(spawner, "INTERVAL_S", 0.01)
    monkeypatch.setattr(spawner, "_RETRY_S", 0.01)
    monkeypatch.setattr(spawner, "ensure_home", lambda base, name, uid: base / name)
    return make_one


def test_a_start_returns_the_alias_of_this_start(
    engine: Engine, make: Callable[..., FleetSpawner]
) -> None:
    engine.task("running")
    address, port = asyncio.run(make().start())
    assert address.startswith("student-ann-")
    assert port == 8888
    assert engine.service is not None
    networks = engine.service["task_template"]["Networks"]
    assert networks == [{"Target": "notebooks", "Aliases": [address]}]


@pytest.mark.parametrize(
    ("state", "words"),
    [("rejected", "No such image: notebook:1"), ("failed", "task: non-zero exit (1)")],
)
def test_the_first_failure_ends_a_start_though_swarm_tries_again(
    engine: Engine, make: Callable[..., FleetSpawner], state: str, words: str
) -> None:
    engine.task(state, "shutdown", words)
    engine.task("ready", "ready")
    with pytest.raises(StartFailed) as caught:
        asyncio.run(make().start())
    assert caught.value.jupyterhub_message == f"Your server was {state}: {words}."
    assert engine.service is None


def test_a_server_that_dies_before_it_answers_is_not_waited_for(
    engine: Engine, make: Callable[..., FleetSpawner], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: str) -> None:
        engine.tasks[0]["Status"] = {"State": "failed", "Err": "task: non-zero exit (3)"}
        await asyncio.sleep(60)

    monkeypatch.setattr(spawner, "until_answers", never)
    engine.task("running")
    with pytest.raises(StartFailed, match=r"non-zero exit \(3\)"):
        asyncio.run(asyncio.wait_for(make().start(), 10))
    assert engine.service is None


def test_a_start_without_room_says_so_and_leaves_nothing(
    engine: Engine, make: Callable[..., FleetSpawner]
) -> None:
    engine.task("pending", error="insufficient resources on 2 nodes")
    with pytest.raises(StartFailed, match="No seat became free in 1 s"):
        asyncio.run(make(start_timeout_s=1).start())
    assert engine.service is None


def test_who_waits_for_room_does_not_hold_up_the_line(
    engine: Engine, make: Callable[..., FleetSpawner]
) -> None:
    async def scene() -> None:
        one = make(start_timeout_s=30)
        engine.task("pending", error="insufficient resources on 2 nodes")
        start = asyncio.create_task(one.start())
        async with asyncio.timeout(5), one.line.turn("the next"):
            pass
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)

    asyncio.run(scene())


def test_a_cancelled_start_leaves_nothing(
    engine: Engine, make: Callable[..., FleetSpawner]
) -> None:
    async def scene() -> None:
        engine.task("preparing")
        start = asyncio.create_task(make().start())
        while engine.service is None:
            await asyncio.sleep(0.01)
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)

    asyncio.run(scene())
    assert engine.service is None


def test_a_service_left_behind_is_replaced(
    engine: Engine, make: Callable[..., FleetSpawner]
) -> None:
    engine.service = {"ID": "old", "name": "student-ann"}
    engine.task("running")["ServiceID"] = "id1"
    asyncio.run(make().start())
    assert engine.service["ID"] == "id1"


def test_a_home_that_cannot_be_used_is_the_reason(
    engine: Engine, make: Callable[..., FleetSpawner], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Path:
        raise homes.HomeError("Your home could not be made (No space left on device)")

    one = make()
    monkeypatch.setattr(spawner, "ensure_home", full)
    with pytest.raises(StartFailed, match="No space left"):
        asyncio.run(one.start())
    assert engine.created == 0


def test_an_engine_that_does_not_answer_does_not_end_a_server(
    engine: Engine, make: Callable[..., FleetSpawner]
) -> None:
    one = make()
    one.object_id = "id1"
    engine.down = True
    assert asyncio.run(one.poll()) is None


@pytest.mark.parametrize(
    ("state", "desired", "alive"),
    [
        ("running", "running", True),
        ("pending", "running", True),
        ("assigned", "running", True),
        ("ready", "ready", True),
        ("failed", "running", True),
        ("complete", "shutdown", False),
        ("failed", "shutdown", False),
        ("rejected", "shutdown", False),
    ],
)
def test_poll_knows_who_lives(
    engine: Engine, make: Callable[..., FleetSpawner], state: str, desired: str, alive: bool
) -> None:
    one = make()
    one.object_id = "id1"
    engine.service = {"ID": "id1", "name": "student-ann"}
    engine.task(state, desired)
    assert (asyncio.run(one.poll()) is None) is alive


def test_no_tasks_yet_is_alive_and_no_service_is_not(
    engine: Engine, make: Callable[..., FleetSpawner]
) -> None:
    one = make()
    one.object_id = "id1"
    engine.service = {"ID": "id1", "name": "student-ann"}
    assert asyncio.run(one.poll()) is None
    engine.service = None
    assert asyncio.run(one.poll()) == 0


def test_a_server_that_has_ended_leaves_no_service(
    engine: Engine, make: Callable[..., FleetSpawner]
) -> None:
    one = make()
    one.object_id = "id1"
    engine.service = {"ID": "id1", "name": "student-ann"}
    asyncio.run(one.run_post_stop_hook())
    assert engine.service is None


def test_a_start_that_the_hub_did_not_survive_leaves_no_service(
    engine: Engine, make: Callable[..., FleetSpawner]
) -> None:
    one = make()
    engine.service = {"ID": "of before", "name": "student-ann"}
    assert asyncio.run(one.poll()) == 0
    asyncio.run(one.run_post_stop_hook())
    assert engine.service is None


def test_a_stop_outlasts_a_manager_that_restarts(
    engine: Engine, make: Callable[..., FleetSpawner]
) -> None:
    async def scene() -> None:
        one = make()
        one.object_id = "id1"
        engine.service = {"ID": "id1", "name": "student-ann"}
        engine.down = True
        stop = asyncio.create_task(one.stop())
        await asyncio.sleep(0.005)
        engine.down = False
        await stop

    asyncio.run(scene())
    assert engine.service is None

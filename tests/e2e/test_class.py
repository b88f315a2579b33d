"""What a class does: two students log in, run cells, write files, come back, and stay apart."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from hubfleet.clients.hub import HubError
from hubfleet.fleet.base import Role
from hubfleet.students import student
from tests.e2e.conftest import Lab

Play = Callable[[Callable[[], Awaitable[None]]], None]

WHERE = "import os; print(6 * 7, os.environ['HUBFLEET_NODE'])"


def test_two_students_run_cells_on_workers_and_cannot_see_each_other(lab: Lab, scene: Play) -> None:
    workers = {machine.id for machine in lab.machines(Role.SWARM_WORKER)}

    async def play() -> None:
        async with lab.students("ann", "bob") as (ann, bob):
            for who in (ann, bob):
                answer, node = (await who.run(WHERE)).split()
                assert answer == "42"
                assert node in workers
                await who.write("mine.txt", f"of {who.name}")
            listing = await ann.run("import os; print(sorted(os.listdir('/home')))")
            assert listing == "['student']"
            assert await ann.read("mine.txt") == "of ann"
            await _refused(ann, bob)

    scene(play)


async def _refused(one: object, other: object) -> None:
    from hubfleet.clients.hub import Student

    assert isinstance(one, Student)
    assert isinstance(other, Student)
    status, _ = await one.request("GET", f"{other.path}/api/contents")
    assert status in {401, 403}, "a token opens another student's server"
    status, final = await one.browse(f"{other.path}/lab")
    assert status in {403, 404} or f"{other.path}/lab" not in final, "a session opens another's lab"
    status, _ = await one.request("DELETE", f"/hub/api/users/{other.name}/server")
    assert status in {403, 404}, "a student stops another's server"


def test_files_are_there_after_a_stop_and_a_start(lab: Lab, scene: Play) -> None:
    async def play() -> None:
        async with lab.students("cid") as (cid,):
            await cid.write("kept.txt", "kept")
            await cid.stop()
            await cid.start()
            assert await cid.read("kept.txt") == "kept"

    scene(play)


IMPATIENT = """
import pathlib, subprocess, sys
for process in pathlib.Path('/proc').glob('[0-9]*'):
    try:
        argv = (process / 'cmdline').read_text().split('\\0')
        words = (process / 'environ').read_text().split('\\0')
    except OSError:
        continue
    if 'jupyterhub_idle_culler' in argv:
        break
else:
    sys.exit('no culler runs')
environment = dict(word.split('=', 1) for word in words if '=' in word)
argv = [sys.executable, '-m', 'jupyterhub_idle_culler', '--timeout=1', '--cull-every=2']
try:
    subprocess.run(argv, env=environment, timeout=20)
except subprocess.TimeoutExpired:
    pass
"""
"""The hub's culler with its own token and rights, and a second of patience, for twenty seconds."""


def test_a_server_that_nobody_uses_is_stopped_and_its_files_stay(lab: Lab, scene: Play) -> None:
    container = lab.on(lab.hub, "docker", "ps", "-qf", "name=hubfleet_hub").strip()
    culler = ["docker", "exec", container, "python3", "-c", IMPATIENT]

    async def play() -> None:
        async with lab.students("ida") as (ida,):
            await ida.write("kept.txt", "kept")
            await asyncio.to_thread(lab.on, lab.hub, *culler)
            _, found = await ida.request("GET", "/hub/api/users/ida")
            assert found["servers"] == {}
            await ida.start()
            assert await ida.read("kept.txt") == "kept"

    scene(play)


def test_a_restart_of_the_hub_does_not_cut_an_open_kernel(lab: Lab, scene: Play) -> None:
    async def play() -> None:
        async with lab.students("dora") as (dora,), dora.kernel() as kernel:
            await kernel.run("x = 41")
            await asyncio.to_thread(
                lab.on, lab.hub, "docker", "service", "update", "--force", "-q", "hubfleet_hub"
            )
            assert await kernel.run("print(x + 1)") == "42"
            await until_hub_answers(lab)
            async with student(lab.deployment, "dora") as again:
                await again.login()
                status, _ = await again.browse(f"{again.path}/lab")
                assert status == 200

    scene(play)


def test_a_restart_of_the_proxy_keeps_the_server_and_its_kernel(lab: Lab, scene: Play) -> None:
    async def play() -> None:
        async with lab.students("eve") as (eve,):
            _, made = await eve.request("POST", f"{eve.path}/api/kernels", json={"name": "python3"})
            await asyncio.to_thread(
                lab.on, lab.hub, "docker", "service", "update", "--force", "-q", "hubfleet_proxy"
            )
            await until_hub_answers(lab)
            kernels = await until_listed(eve, made["id"])
            assert made["id"] in kernels

    scene(play)


async def until_listed(who: object, kernel: str) -> list[str]:
    """Return the kernels of a student's server as soon as the proxy has its route again."""
    from hubfleet.clients.hub import Student

    assert isinstance(who, Student)
    for _ in range(120):
        status, body = await who.request("GET", f"{who.path}/api/kernels")
        if status == 200 and isinstance(body, list):
            return [each["id"] for each in body]
        await asyncio.sleep(0.5)
    raise AssertionError(f"kernel {kernel}: the server is not served again")


def test_students_come_back_after_a_restart_of_the_hub_nodes_engine(lab: Lab, scene: Play) -> None:
    async def play() -> None:
        async with lab.students("finn") as (finn,):
            await finn.write("engine.txt", "still here")
            await asyncio.to_thread(lab.on, lab.hub, "systemctl", "restart", "docker")
            await until_hub_answers(lab)
            async with student(lab.deployment, "finn") as again:
                await again.login()
                await until_listed(again, "")
                assert await again.read("engine.txt") == "still here"

    scene(play)


@pytest.mark.parametrize("name", ["../bob", "b o b", "x" * 200, ""])
def test_names_that_are_no_word_are_refused(lab: Lab, scene: Play, name: str) -> None:
    async def play() -> None:
        async with student(lab.deployment, name) as somebody:
            with pytest.raises(HubError, match="does not let"):
                await somebody.login()

    scene(play)


def test_names_of_any_script_get_a_home_of_their_own(lab: Lab, scene: Play) -> None:
    async def play() -> None:
        async with lab.students("jürgen") as (juergen,):
            await juergen.write("mine.txt", "Käse")
        homes = {home.name for home in lab.deployment.homes_dir.iterdir()}
        assert any(home.startswith("j-rgen--") for home in homes)

    scene(play)


def test_capitals_mean_the_same_student(lab: Lab, scene: Play) -> None:
    async def play() -> None:
        async with lab.students("gus") as (gus,):
            await gus.write("mine.txt", "of gus")
        async with student(lab.deployment, "GUS") as shouting:
            await shouting.login()
            await shouting.start()
            assert await shouting.read("mine.txt") == "of gus"
            await shouting.stop()

    scene(play)


def test_a_missing_image_is_said_at_once(lab: Lab, scene: Play) -> None:
    repository = lab.settings.images.notebook.repository
    image = f"registry.{lab.settings.fleet.zone}/{repository}:no-such-tag"
    update = ["docker", "service", "update", "-q", "--env-add", f"HUBFLEET_NOTEBOOK_IMAGE={image}"]
    lab.on(lab.hub, *update, "hubfleet_hub")

    async def play() -> None:
        await until_hub_answers(lab)
        async with student(lab.deployment, "hal") as hal:
            await hal.login()
            async with asyncio.timeout(30):
                with pytest.raises(HubError, match=r"[Nn]o such image|not found"):
                    await hal.start()

    try:
        scene(play)
    finally:
        lab.on(lab.hub, "docker", "service", "rollback", "-q", "hubfleet_hub")
        lab.on(lab.hub, "chef-client", timeout=300)
    environment = "{{.Spec.TaskTemplate.ContainerSpec.Env}}"
    now = lab.on(lab.hub, "docker", "service", "inspect", "-f", environment, "hubfleet_hub")
    assert f"{repository}:{lab.settings.images.notebook.tag}" in now


async def until_hub_answers(lab: Lab) -> None:
    """Wait until the hub is healthy again, for at most two minutes."""
    async with student(lab.deployment, "nobody") as nobody:
        for _ in range(240):
            try:
                if (await nobody.request("GET", "/hub/health"))[0] == 200:
                    return
            except OSError:
                pass
            await asyncio.sleep(0.5)
    raise AssertionError("the hub does not answer again")

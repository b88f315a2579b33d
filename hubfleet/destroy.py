"""Remove a deployment: containers, volumes, network, state; homes only when told."""

import shutil
from pathlib import Path

from hubfleet import images
from hubfleet.clients import engine, engine_directories
from hubfleet.console import Console
from hubfleet.errors import PreconditionError
from hubfleet.fleet import service_container
from hubfleet.fleet.local import DEPLOYMENT_LABEL
from hubfleet.parallel import run_all
from hubfleet.settings import ROOT
from hubfleet.state import Deployment, deployments


def target(name: str, root: Path = ROOT) -> Deployment:
    """Return the deployment of a checked name, even where its record is lost or broken.

    Raises PreconditionError where nothing of it is left.
    """
    found = Deployment(name, "", root)
    if not found.dir.exists() and not engine.list_containers(_label(found)):
        known = ", ".join(deployments(root)) or "none"
        raise PreconditionError(f"there is no deployment {name!r}", f"there are: {known}")
    return found


def words(deployment: Deployment, homes: bool) -> list[str]:
    """Return what would be removed, as lines for the user."""
    lines = [f"remove machine {c.name}" for c in engine.list_containers(_label(deployment))]
    lines.append(f"remove network {deployment.network} and the volumes of its machines")
    kept = "" if homes else f", but not {deployment.homes_dir}"
    return [*lines, f"remove {deployment.dir}{kept}"]


def destroy(deployment: Deployment, console: Console, homes: bool = False) -> None:
    """Remove everything of a deployment; a second time there is nothing left to do.

    Raises LockedError where another command holds it, CommandError where the engine refuses.
    """
    with deployment.lock("destroy"):
        console.plan(2)
        with console.stage("machines"):
            # First: it would launch others, and write into the state that goes, too.
            service_container.remove(deployment)
            names = [container.name for container in engine.list_containers(_label(deployment))]
            for outcome in run_all(engine.remove_container, names):
                if outcome is not None:
                    raise outcome
            engine.remove_volumes(_label(deployment))
            engine.remove_networks(_label(deployment))
        with console.stage("state"):
            _remove_state(deployment, homes)
    if deployment.homes_dir.exists():
        console.say(f"the students' homes are still there: {deployment.homes_dir}")


def _remove_state(deployment: Deployment, homes: bool) -> None:
    """Remove the state, the lock last; a directory of homes without any home goes too."""
    keep = {deployment.lock_file}
    if not homes and deployment.homes_dir.exists() and any(deployment.homes_dir.iterdir()):
        keep.add(deployment.homes_dir)
    for path in deployment.dir.iterdir():
        if path not in keep:
            _remove(path, deployment.root)
    deployment.lock_file.unlink(missing_ok=True)
    if not any(deployment.dir.iterdir()):
        deployment.dir.rmdir()


def _remove(path: Path, root: Path) -> None:
    """Remove a file or a tree; what nodes have written there may belong to others."""
    if not path.is_dir():
        path.unlink()
        return
    try:
        shutil.rmtree(path)
    except PermissionError:
        engine_directories.clear_directory(path, images.reference("node", root))
        path.rmdir()


def _label(deployment: Deployment) -> str:
    return f"{DEPLOYMENT_LABEL}={deployment.name}"

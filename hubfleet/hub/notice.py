"""What a student must know of the machine under the server: it is taken away soon, and why."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyterhub.handlers import BaseHandler
from tornado import web

from hubfleet.controller import report
from hubfleet.controller.report import FleetReport, Notice

PATH = r"/fleet/notice"

WHY = {
    "spot": "The provider takes back the machine under your server",
    "maintenance": "The machine under your server is being serviced",
    "health": "The machine under your server has a fault",
    "termination": "The machine under your server is taken out of service",
}


def notice_for(found: FleetReport | None, member: str) -> Notice | None:
    """Return the notice of a worker, by its id in the Swarm; None where there is none. Pure."""
    if found is None or not member:
        return None
    ids = {worker.id for worker in found.workers if worker.member == member}
    return next((notice for notice in found.notices if notice.worker in ids), None)


def sentence(notice: Notice, now: float) -> str:
    """Return what the student reads; JupyterLab shows 140 characters. Pure; POSIX seconds."""
    why = WHY.get(notice.kind, WHY["termination"])
    left = max(0, round(notice.deadline - now))
    moves = f"Save now: it moves elsewhere in {left} s."
    return f"{why}. {moves} Files come along, kernels' memory does not."


class NoticeHandler(BaseHandler):
    """Answers pages and JupyterLab, which ask every few seconds; reads one small file."""

    def initialize(self, report_file: Path) -> None:
        """Take over where the controller's report lies."""
        self._file = report_file

    @web.authenticated
    async def get(self) -> None:
        """Answer the notice of the user's own worker, or null."""
        now = datetime.now(UTC).timestamp()
        # A service of the hub, which asks with its token, has no server.
        spawner = getattr(self.current_user, "spawner", None)
        notice = notice_for(report.read(self._file, now), getattr(spawner, "member", ""))
        answer: dict[str, Any] = {"notice": None}
        if notice is not None:
            answer["notice"] = {
                "id": f"{notice.worker}-{notice.at:.0f}",
                "kind": notice.kind,
                "deadline": notice.deadline,
                "sentence": sentence(notice, now),
            }
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(answer)

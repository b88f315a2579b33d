"""Directories of this machine that containers have written to."""

from pathlib import Path

from hubfleet.clients.docker import client, refusals


def clear_directory(path: Path, image: str) -> None:
    """Empty a directory as root: what nodes wrote there may belong to others than this user."""
    with refusals(f"empty {path}"):
        client().containers.run(
            image,
            ["find", "/target", "-mindepth", "1", "-delete"],
            entrypoint=[],
            volumes=[f"{path}:/target"],
            network_mode="none",
            remove=True,
        )

"""What every task shares: a console, errors as words and exit codes, `--debug`.

Task modules import what they call inside the tasks: `./invoke --list` stays fast, and `./invoke
check` works where other code is broken.
"""

import functools
import inspect
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.tasks import Task
from invoke.tasks import task as invoke_task

from hubfleet.console import Console
from hubfleet.errors import CommandError, HubfleetError, UsageError
from hubfleet.state import SHARED_LOGS, make_private_dir

ERROR_LOG = SHARED_LOGS / "errors.log"
"""Tracebacks of errors that nobody foresaw."""

INTERRUPTED = 130

HELP = {
    "debug": "Show the traceback of an error.",
    "dry_run": "Say what would be done, and do nothing.",
    "env": "Environment: local, class, staging or production.",
    "json": "Print one JSON document on stdout.",
    "name": "Name of the deployment (default: its environment's name).",
    "yes": "Do not ask.",
}
"""Help for the options that several tasks have."""


def task(**options: Any) -> Callable[[Callable[..., None]], Task[Any]]:
    """Make an Invoke task of a function that takes a Console and the task's options.

    `options` are those of `invoke.task`; its `help` is completed from HELP. A HubfleetError becomes
    its message and hint on stderr and its exit code, Ctrl-C becomes 130, anything else one line
    and a traceback in ERROR_LOG.
    """

    def decorate(body: Callable[..., None]) -> Task[Any]:
        @functools.wraps(body)
        def wrapper(_context: Context, *args: Any, debug: bool = False, **kwargs: Any) -> None:
            console = Console(json_mode=bool(kwargs.get("json")))
            code = _guarded(console, debug, lambda: body(console, *args, **kwargs))
            if code:
                raise Exit(code=code)

        signature = inspect.signature(body)
        extra = inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False)
        parameters = [*signature.parameters.values(), extra]
        wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        help_texts = dict(options.pop("help", {}))
        for name in list(signature.parameters)[1:] + ["debug"]:
            if name in HELP:
                help_texts.setdefault(name, HELP[name])
        return cast(Task[Any], invoke_task(wrapper, help=help_texts, **options))

    return decorate


def whole_number(option: str, text: str | None) -> int | None:
    """Return the number an option names, None where it was left out; UsageError for other text."""
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise UsageError(f"{option} takes a whole number, not {text!r}")
    return int(text)


def _guarded(console: Console, debug: bool, action: Callable[[], None]) -> int:
    """Run `action` and return the exit code that its outcome has."""
    try:
        action()
    except KeyboardInterrupt:
        console.say("interrupted")
        return INTERRUPTED
    except HubfleetError as error:
        console.error(error.message, error.hint)
        if isinstance(error, CommandError) and error.output:
            console.quote(error.output)
        if debug:
            console.quote(traceback.format_exc())
        return error.exit_code
    except Exit:
        raise
    except Exception as error:
        _record(traceback.format_exc())
        console.error(f"{type(error).__name__}: {error}", f"the traceback is in {ERROR_LOG}")
        if debug:
            console.quote(traceback.format_exc())
        return 1
    return 0


def _record(text: str) -> None:
    make_private_dir(ERROR_LOG.parent)
    with ERROR_LOG.open("a") as stream:
        stream.write(f"{datetime.now(UTC).isoformat(timespec='seconds')}\n{text}\n")

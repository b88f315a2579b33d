"""What OpenTofu prints when it fails, as one sentence with the next step."""

import re
from collections.abc import Callable
from pathlib import Path

from hubfleet.clients.process import Completed
from hubfleet.errors import CommandError, HubfleetError, LockedError, PreconditionError

LOG_IN = "run: aws sso login, or set AWS_PROFILE, and try again"

BROKEN_OFF = re.compile(r"use of closed network connection|connection reset by peer|unexpected EOF")


class BrokenOffError(CommandError):
    """A connection to AWS ended in the middle of an answer: the same once more may well do."""


REASONS: tuple[tuple[str, type[HubfleetError], str, str], ...] = (
    (
        r"(?i)ExpiredToken|RequestExpired|token has expired|SSO session.*(expired|invalid)",
        PreconditionError,
        "the AWS credentials have expired",
        LOG_IN,
    ),
    (
        r"(?i)no valid credential sources|NoCredentialProviders|InvalidClientTokenId",
        PreconditionError,
        "there are no valid AWS credentials",
        LOG_IN,
    ),
    (
        r"AWS account ID not allowed: (?P<what>\d+)",
        PreconditionError,
        "the credentials are of another account than TF_VAR_account_id",
        "choose the right AWS_PROFILE",
    ),
    (
        r"There is no (?P<what>\w+) image of",
        PreconditionError,
        "there is no machine image {what}",
        "./invoke images.bake --env {environment}",
    ),
    (
        r"Error: (?:Resource precondition failed|Invalid value for variable)\n(?s:.*?)├─+\n"
        r"(?: +│[^\n]*\n)*\n(?P<what>[^\n]+(?:\n[^\n]+)*)",
        PreconditionError,
        "{what}",
        "correct environments/{environment}.json, then ./invoke policy.update, and commit both",
    ),
    (
        r"InvalidAMIID\.\w+: [^\n]*?(?P<what>ami-[0-9a-f]+)",
        PreconditionError,
        "the machine image {what} is gone",
        "./invoke images.find --env {environment}, or images.bake",
    ),
    (
        r"(?P<what>VcpuLimitExceeded|AddressLimitExceeded|VpcLimitExceeded|\w*LimitExceeded\w*"
        r"|ServiceQuotaExceededException|TooManyBuckets)",
        PreconditionError,
        "a quota of the account is used up ({what})",
        "./invoke doctor --env {environment} names quotas; Service Quotas raises them",
    ),
    (
        r"(?P<what>\w*AlreadyExists\w*|\w*AlreadyOwned\w*|InvalidLaunchTemplateName\.\w+"
        r"|InvalidGroup\.Duplicate|ConflictingDomainExists|FileSystemAlreadyExists)",
        PreconditionError,
        "a name is taken ({what}): there is such a thing, and the state does not know it",
        "remove it, if it is of an earlier stack; or give the environment another name",
    ),
    (
        r"no matching Route ?53 Hosted Zone found|no matching Route53Zone found",
        PreconditionError,
        "the public zone of the environment is not in this account",
        "./invoke doctor --env {environment} has the command that makes it",
    ),
    (
        r"is not authorized to perform: (?P<what>[\w:-]+)",
        CommandError,
        "AWS does not allow {what}",
        "terraform/bootstrap has what a deploy needs; have that allowed",
    ),
    (
        r"UnauthorizedOperation|AccessDenied",
        CommandError,
        "AWS does not allow what is needed; the log names it",
        "terraform/bootstrap has what a deploy needs; have that allowed",
    ),
    (
        r"InsufficientInstanceCapacity",
        CommandError,
        "AWS has no machine of this type to spare now",
        "deploy again later, or choose another type in fleet.aws.instances",
    ),
    (
        r"Saved plan is stale",
        CommandError,
        "something has changed since the plan was made",
        "deploy again",
    ),
    (
        BROKEN_OFF.pattern,
        BrokenOffError,
        "a connection to AWS broke off",
        "the same command goes on",
    ),
    (
        r"no such host|i/o timeout|connection refused|TLS handshake|dial tcp",
        PreconditionError,
        "the network does not lead there",
        "check name resolution, the proxy and the way out; the log names the address",
    ),
)
"""What AWS's provider or OpenTofu says, what it is, and what to do next."""


def settled(run: Callable[[], Completed]) -> Completed:
    """Run a command that may be run twice; once more where a connection to AWS has broken off."""
    done = run()
    if done.returncode and BROKEN_OFF.search(done.stdout + done.stderr):
        return run()
    return done


FRAME = re.compile(r"^[╷│╵] ?", re.MULTILINE)

LOCK = re.compile(r"Lock Info:(?P<info>.*?)(?:\n\s*\n|\Z)", re.DOTALL)


def refusal(
    command: str, environment: str, said: str, release: str = "", log: Path | None = None
) -> HubfleetError:
    """Return the error; `release` is the command that releases a lock, %s its number."""
    where = f" (log: {log})" if log else ""
    lock = LOCK.search(said)
    plain = FRAME.sub("", said)
    if "acquiring the state lock" in said and lock is not None:
        return _locked(environment, lock["info"], release)
    for pattern, kind, message, hint in REASONS:
        found = re.search(pattern, plain)
        if found is None:
            continue
        what = " ".join((found.groupdict().get("what") or "").split())
        words = {"environment": environment, "what": what}
        text, step = message.format(**words), hint.format(**words)
        if issubclass(kind, CommandError):
            return kind(f"tofu {command}: {text}", f"{step}{where}", errors(said))
        return kind(f"tofu {command}: {text}", step)
    first = errors(said).splitlines()
    return CommandError(
        f"tofu {command} fails: {first[0] if first else 'it gives no reason'}",
        f"./invoke doctor --env {environment} says what the account lacks; what was made is in the "
        f"state, and the same command goes on{where}",
        errors(said),
    )


def errors(said: str) -> str:
    """Return OpenTofu's errors, without its frames."""
    lines = [line.strip(" │╷╵").rstrip() for line in said.splitlines()]
    starts = [number for number, line in enumerate(lines) if line.startswith("Error: ")]
    if not starts:
        return ""
    return "\n".join(line for line in lines[starts[0] :] if line).removeprefix("Error: ")


def _locked(environment: str, info: str, release: str) -> HubfleetError:
    fields = dict(re.findall(r"^\W*(\w+):\s*(.*?)\s*$", info, re.MULTILINE))
    who, since = fields.get("Who", "somebody"), fields.get("Created", "an unknown time")
    return LockedError(
        f"the state of {environment} is held by {who} since {since} ({fields.get('Operation')})",
        f"wait for that run; if it has ended without releasing it: {release % fields.get('ID')}",
    )

"""AWS as an operator's commands see it: who asks, and what its refusals mean to an operator.

Calls and the meaning of their errors are those of the controller (hubfleet.clients.aws_fleet); only
the next step differs: an operator logs in and asks for rights, a machine has a role.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import botocore
from botocore import exceptions

from hubfleet.clients.aws_fleet import (
    CLOCK,
    DENIED,
    EXPIRED,
    NO_REGION,
    UNKNOWN,
    AwsFleet,
    AwsRefusal,
)
from hubfleet.errors import CommandError, HubfleetError, PreconditionError

LOG_IN = "run: aws sso login, or set AWS_PROFILE, and ask again"

TAKEN = ("AlreadyExist", "AlreadyOwned", "InUse", "DuplicateName", "Duplicate")
"""Parts of the codes by which services say that a name is taken; each has its own."""

ELSEWHERE = frozenset(
    {
        *("301", "PermanentRedirect", "AuthorizationHeaderMalformed"),
        *("IllegalLocationConstraintException", "InvalidRegion"),
    }
)
"""S3's codes for a bucket of another region; 301 is all that a HEAD request tells."""

FORBIDDEN = DENIED | {"403", "Forbidden"}
"""403 is all that a HEAD request tells."""

MISSING = frozenset({"404", "NoSuchBucket", "NotFound"})
"""S3's codes for a bucket that is not there."""


@dataclass(frozen=True)
class Identity:
    """Who asks: the account's number, and the user's or role's ARN."""

    account: str
    arn: str


class Aws(AwsFleet):
    """Calls in one region, for an operator. Errors are those of `refusals` where it is used."""

    def identity(self) -> Identity:
        """Return whose credentials these are.

        Raises PreconditionError without valid ones, or where AWS is not reached.
        """
        with self.refusals("the AWS account cannot be told"):
            found = self.call("sts", "get_caller_identity")
        return Identity(found["Account"], found["Arn"])

    @contextmanager
    def refusals(self, what: str) -> Iterator[None]:
        """Turn the errors of boto3's clients, and of `call` and `pages`, into one sentence.

        `what` is the sentence's beginning, such as "the bucket x cannot be made". Raises
        PreconditionError where something must be put right first (credentials, region, the way to
        AWS, a taken name), AwsRefusal else.
        """
        try:
            yield
        except exceptions.ClientError as error:
            operation = botocore.xform_name(error.operation_name)
            refusal = self._refusal("AWS", operation, error.response.get("Error", {}))
            raise self._for_operator(what, refusal) from error
        except exceptions.BotoCoreError as error:
            try:
                with self._told("the service", "request"):
                    raise error
            except CommandError as told:
                raise self._for_operator(what, told) from error
        except CommandError as error:
            raise self._for_operator(what, error) from error

    def _for_operator(self, what: str, error: CommandError) -> HubfleetError:
        """Return the error as an operator needs it, with the next step."""
        said = f"{what}: {error.message}"
        if not isinstance(error, AwsRefusal):
            # Nothing was answered: no credentials, no login, no way to AWS, no such region.
            return PreconditionError(said, LOG_IN if "aws sso login" in error.hint else error.hint)
        code = error.code
        if code in EXPIRED | UNKNOWN:
            return PreconditionError(said, LOG_IN)
        if code in CLOCK | NO_REGION:
            return PreconditionError(said, error.hint)
        if code in ELSEWHERE:
            return PreconditionError(
                f"{what}: it is in another region than {self.region}",
                "correct fleet.aws.region in the environment, or choose another name",
            )
        if any(part in code for part in TAKEN):
            return PreconditionError(
                f"{what}: the name is taken ({error.text or code})",
                "remove what has the name, if it is yours; or give the environment another name",
            )
        if code in FORBIDDEN:
            who = "run: aws sts get-caller-identity, and have that role allowed what is refused"
            return AwsRefusal(said, who, code, error.text)
        return AwsRefusal(said, error.hint, code, error.text)

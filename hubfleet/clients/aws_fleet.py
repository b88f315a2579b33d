"""AWS's side of the workers: calls of Auto Scaling, EC2 and SQS, and what their errors mean.

Part of the hub image, which has the models of SERVICES only. Credentials are those that boto3
finds: on the hub the role of its machine, with an operator a profile or a login. AWS_ENDPOINT_URL
names another server than AWS's own.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import boto3
import botocore.session
from botocore import exceptions
from botocore.config import Config

from hubfleet.errors import CommandError

SERVICES = ("autoscaling", "ec2", "sqs")

LONG_POLL_S = 20
"""SQS answers a `receive_message` after that at the latest."""

CONFIG = Config(
    connect_timeout=5,
    read_timeout=LONG_POLL_S + 10,
    # Waits of up to 1, 2, 4, 8 seconds. AWS's own most is 10 attempts, more than a minute: a spot
    # notice gives two in all, and the controller's next turn asks again.
    retries={"mode": "standard", "total_max_attempts": 5},
    user_agent_extra="hubfleet",
)

METADATA_ATTEMPTS = 4
"""Questions to the machine's own metadata service, of a second each, until it gives credentials."""

LONGEST_TEXT = 300
"""An encoded authorization message alone has thousands of characters."""

IAM_FILE = "terraform/iam_controller.tf"

EXPIRED = frozenset(
    {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
)
UNKNOWN = frozenset(
    {
        *("AuthFailure", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidSecurity"),
        *("NotAuthorized", "SignatureDoesNotMatch", "UnrecognizedClientException"),
    }
)
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
THROTTLED = frozenset(
    {
        *("RequestLimitExceeded", "RequestThrottled", "RequestThrottledException", "SlowDown"),
        *("Throttled", "ThrottledException", "Throttling", "ThrottlingException"),
        *("TooManyRequestsException", "BandwidthLimitExceeded"),
    }
)
CLOCK = frozenset({"RequestTimeTooSkewed", "RequestInTheFuture"})
NO_REGION = frozenset({"OptInRequired", "SubscriptionRequiredException"})


class AwsRefusal(CommandError):
    """AWS answered, and refused; `code` is its error's without a prefix, `text` what it said."""

    def __init__(self, message: str, hint: str, code: str, text: str) -> None:
        super().__init__(message, hint, text)
        self.code = code
        self.text = text


class AwsFleet:
    """Calls in one region. Raises CommandError where AWS is not reached, AwsRefusal else.

    It may be used by several threads.
    """

    def __init__(self, region: str) -> None:
        self.region = region
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}

    def call(self, service: str, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """Make a call, named as boto3 names it, and return its answer."""
        with self._told(service, operation):
            answer: Mapping[str, Any] = getattr(self.client(service), operation)(**parameters)
            return answer

    def pages(self, service: str, operation: str, key: str, **parameters: Any) -> Iterator[Any]:
        """Yield what stands under `key` in all pages of a listing, each fetched when needed."""
        with self._told(service, operation):
            pages = iter(self.client(service).get_paginator(operation).paginate(**parameters))
        while True:
            with self._told(service, operation):
                page = next(pages, None)
            if page is None:
                return
            yield from page[key]

    def client(self, service: str) -> Any:
        """Return boto3's client of a service, made once: that takes a tenth of a second."""
        with self._lock:
            if service not in self._clients:
                session = botocore.session.Session()
                session.set_config_variable("metadata_service_num_attempts", METADATA_ATTEMPTS)
                self._clients[service] = boto3.Session(
                    region_name=self.region, botocore_session=session
                ).client(service, config=CONFIG)
            return self._clients[service]

    @contextmanager
    def _told(self, service: str, operation: str) -> Iterator[None]:
        """Turn what boto3 raises into one sentence and the next step."""
        try:
            yield
        except exceptions.ClientError as error:
            raise self._refusal(service, operation, error.response.get("Error", {})) from error
        except exceptions.ParamValidationError as error:
            # boto3 refuses what AWS would refuse, such as a token that is too short.
            text = _short(str(error))
            raise AwsRefusal(
                f"{service} takes no such {operation}: {text}", "", "ValidationError", text
            ) from error
        except _NO_CREDENTIALS as error:
            # A client that was made without credentials never looks for them again.
            with self._lock:
                self._clients.clear()
            raise CommandError(
                f"there are no AWS credentials: {_short(str(error))}", LOG_IN
            ) from error
        except _LOGIN_OVER as error:
            with self._lock:
                self._clients.clear()
            raise CommandError(
                f"the login at AWS has expired: {_short(str(error))}", LOG_IN
            ) from error
        except _NOT_REACHED as error:
            raise CommandError(
                f"{service} of AWS is not reached in {self.region}: {_short(str(error))}",
                "check the region's name (fleet.aws.region), name resolution and the way out",
            ) from error
        except exceptions.BotoCoreError as error:
            raise CommandError(
                f"{service} cannot be asked in region {self.region!r}: {_short(str(error))}",
                "check fleet.aws.region and the AWS_ variables of the environment",
            ) from error

    def _refusal(self, service: str, operation: str, error: Mapping[str, Any]) -> AwsRefusal:
        code, text = str(error.get("Code", "")), _short(str(error.get("Message", "")))
        action = f"{service}:{operation.title().replace('_', '')}"
        # Some have a prefix, such as AWS.SimpleQueueService.NonExistentQueue.
        kind = code.rpartition(".")[2]
        if kind in EXPIRED:
            said, hint = "the AWS credentials have expired", LOG_IN
        elif kind in UNKNOWN:
            said, hint = f"AWS does not know these credentials: {text}", LOG_IN
        elif kind in DENIED:
            said = f"AWS does not allow {action}: {text}"
            hint = f"the role needs {action}; {IAM_FILE} gives the hub's machine what it needs"
        elif kind in THROTTLED:
            said = (
                f"AWS throttles {action}, also after {CONFIG.retries['total_max_attempts']} tries"
            )
            hint = "wait, and look for what else calls AWS from this account"
        elif kind in CLOCK:
            said, hint = f"this machine's clock is wrong: {text}", "run: timedatectl"
        elif kind in NO_REGION:
            said = f"the account has no {service} in {self.region}: {text}"
            hint = "check fleet.aws.region, or enable the region for the account"
        else:
            said, hint = f"AWS refuses {action}: {text or code} ({code})", ""
        return AwsRefusal(said, hint, kind, text)


LOG_IN = "run: aws sso login, or set AWS_PROFILE; on the hub, its machine's role gives credentials"

_NO_CREDENTIALS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.ProfileNotFound,
)
_LOGIN_OVER = (
    exceptions.SSOError,
    exceptions.TokenRetrievalError,
)
_NOT_REACHED = (exceptions.ConnectionError, exceptions.HTTPClientError)


def _short(text: str) -> str:
    """Return a text of AWS as one line that is not too long."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT]}..."

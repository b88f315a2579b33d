"""The queue of what happens to workers, on SQS. Durations are seconds."""

from collections.abc import Mapping, Sequence
from typing import Any

from hubfleet.clients.aws_fleet import LONG_POLL_S, AwsFleet, AwsRefusal
from hubfleet.errors import CommandError
from hubfleet.fleet.aws_names import AwsNames
from hubfleet.fleet.scaling import Message

MOST_HIDDEN_S = 43_200
"""SQS hides no message longer."""

OVER = frozenset({"MessageNotInflight", "ReceiptHandleIsInvalid"})
"""A delivery that is over: its message is deleted, or has come again."""

MISSING = frozenset({"NonExistentQueue", "QueueDoesNotExist"})


class AwsQueue:
    """The queue of one environment. What it does for is said in `ScalingFleet`."""

    def __init__(self, aws: AwsFleet, names: AwsNames) -> None:
        self._aws, self._names = aws, names
        self._url = ""

    def receive(self, wait_s: int) -> Sequence[Message]:
        """Return the messages that are there, or come within `wait_s` seconds; at most ten."""
        answer = self._call(
            "receive_message",
            MaxNumberOfMessages=10,
            WaitTimeSeconds=min(max(0, wait_s), LONG_POLL_S),
            MessageSystemAttributeNames=["ApproximateReceiveCount"],
        )
        return [
            Message(
                id=str(row["MessageId"]),
                receipt=str(row["ReceiptHandle"]),
                body=str(row["Body"]),
                receives=int(row.get("Attributes", {}).get("ApproximateReceiveCount", 1)),
            )
            for row in answer.get("Messages", ())
        ]

    def acknowledge(self, message: Message) -> None:
        """Delete a message; one that is deleted already is no error."""
        self._unless_over("delete_message", ReceiptHandle=message.receipt)

    def hide(self, message: Message, seconds: int) -> None:
        """Have a message come again only after so many seconds."""
        self._unless_over(
            "change_message_visibility",
            ReceiptHandle=message.receipt,
            VisibilityTimeout=min(max(0, seconds), MOST_HIDDEN_S),
        )

    def _unless_over(self, operation: str, **parameters: Any) -> None:
        try:
            self._call(operation, **parameters)
        except AwsRefusal as error:
            if error.code not in OVER:
                raise

    def _call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        try:
            if not self._url:
                answer = self._aws.call("sqs", "get_queue_url", QueueName=self._names.queue)
                self._url = str(answer["QueueUrl"])
            return self._aws.call("sqs", operation, QueueUrl=self._url, **parameters)
        except AwsRefusal as error:
            if error.code not in MISSING:
                raise
            raise CommandError(
                f"there is no queue {self._names.queue} in {self._aws.region}",
                f"./invoke deploy --env {self._names.environment} makes it; "
                "check fleet.aws.region and the account",
            ) from error

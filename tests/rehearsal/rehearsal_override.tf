# Beside moto_override.tf, for the rehearsal alone. The provider waits 25 seconds for each of a queue, its
# redrive policy and its policy; tests/infrastructure makes all three. moto enforces no policy, and what
# nobody could handle is seen in the queue itself.

resource "aws_sqs_queue" "events" {
  redrive_policy = null
}

resource "aws_sqs_queue_policy" "events" {
  count = 0
}

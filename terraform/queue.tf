# What happens to machines, as messages for the controller. AWS cannot narrow the EC2 events to one
# group, so the controller asks the group about each machine before it believes a message.
locals {
  events = {
    spot-notice = { source = "aws.ec2", type = "EC2 Spot Instance Interruption Warning", detail = {} }
    rebalance   = { source = "aws.ec2", type = "EC2 Instance Rebalance Recommendation", detail = {} }
    state       = { source = "aws.ec2", type = "EC2 Instance State-change Notification", detail = { state = ["shutting-down", "stopping", "stopped", "terminated"] } }
    termination = { source = "aws.autoscaling", type = "EC2 Instance-terminate Lifecycle Action", detail = { AutoScalingGroupName = [local.group_name] } }
  }
}

resource "aws_sqs_queue" "dead" {
  name                      = "${local.name}-events-dead"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 14 * 24 * 3600
}

resource "aws_sqs_queue" "events" {
  name                    = "${local.name}-events"
  sqs_managed_sse_enabled = true
  # Older than a day, a message is about a machine that is gone; the controller's sweep finds what is left.
  message_retention_seconds = 24 * 3600
  # Longer than one step of emptying a machine; the controller renews it.
  visibility_timeout_seconds = 60
  receive_wait_time_seconds  = 20

  redrive_policy = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead.arn, maxReceiveCount = 5 })
}

resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  queue_url            = aws_sqs_queue.dead.id
  redrive_allow_policy = jsonencode({ redrivePermission = "byQueue", sourceQueueArns = [aws_sqs_queue.events.arn] })
}

data "aws_iam_policy_document" "events" {
  statement {
    sid       = "OnlyOurRulesSend"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.events.arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [for rule in aws_cloudwatch_event_rule.this : rule.arn]
    }
  }

  statement {
    sid    = "OnlyTls"
    effect = "Deny"
    # reason: a refusal, of everything
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.events.arn]

    principals {
      type = "*"
      # reason: a refusal, to everybody
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "events" {
  queue_url = aws_sqs_queue.events.id
  policy    = data.aws_iam_policy_document.events.json
}

data "aws_iam_policy_document" "dead" {
  statement {
    sid    = "OnlyTls"
    effect = "Deny"
    # reason: a refusal, of everything
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.dead.arn]

    principals {
      type = "*"
      # reason: a refusal, to everybody
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "dead" {
  queue_url = aws_sqs_queue.dead.id
  policy    = data.aws_iam_policy_document.dead.json
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each    = local.events
  name        = "${local.name}-${each.key}"
  description = each.value.type
  event_pattern = jsonencode(merge(
    { source = [each.value.source], detail-type = [each.value.type] },
    { for key, value in { detail = each.value.detail } : key => value if length(value) > 0 },
  ))
}

resource "aws_cloudwatch_event_target" "this" {
  for_each  = local.events
  rule      = aws_cloudwatch_event_rule.this[each.key].name
  target_id = "controller"
  arn       = aws_sqs_queue.events.arn
}

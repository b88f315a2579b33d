# What the fleet's controller, a service on the hub, may do with workers: this group and this queue only.

locals {
  # reason: AWS puts an id of its own making before the name; the name is this group's
  group_arn = "arn:${data.aws_partition.this.partition}:autoscaling:${local.aws.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${local.group_name}"
}

data "aws_iam_policy_document" "controller" {
  statement {
    sid = "Scale"
    actions = [
      "autoscaling:CompleteLifecycleAction",
      "autoscaling:RecordLifecycleActionHeartbeat",
      "autoscaling:SetDesiredCapacity",
      "autoscaling:SetInstanceProtection",
      "autoscaling:TerminateInstanceInAutoScalingGroup",
    ]
    resources = [local.group_arn]
  }

  statement {
    #checkov:skip=CKV_AWS_356:Describe actions know no resource
    sid = "Look"
    actions = [
      "autoscaling:DescribeAutoScalingGroups",
      "autoscaling:DescribeAutoScalingInstances",
      "autoscaling:DescribeScalingActivities",
      "ec2:DescribeInstances",
    ]
    # reason: Describe actions of EC2 and Auto Scaling cannot be tied to a resource
    resources = ["*"]
  }

  statement {
    sid = "Events"
    actions = [
      "sqs:ChangeMessageVisibility",
      "sqs:DeleteMessage",
      "sqs:GetQueueUrl",
      "sqs:ReceiveMessage",
    ]
    resources = [aws_sqs_queue.events.arn]
  }
}

resource "aws_iam_role_policy" "controller" {
  name   = "controller"
  role   = aws_iam_role.machine["hub"].id
  policy = data.aws_iam_policy_document.controller.json
}

# What no machine of a stack may exceed. The apply role makes the machines' roles, and only with these
# bounds: without them it could make one that may do anything, and start a machine with it.
data "aws_iam_policy_document" "machines" {
  for_each = local.aws

  statement {
    sid     = "Parameters"
    actions = ["ssm:GetParameter", "ssm:PutParameter"]
    # reason: the stack says which part of the environment's tree a role reads
    resources = ["arn:${local.partition}:ssm:${each.value.region}:${local.account}:parameter${local.secrets[each.key]}/*"]
  }

  statement {
    #checkov:skip=CKV_AWS_111:these actions know no resource
    #checkov:skip=CKV_AWS_356:these actions know no resource
    sid = "WithoutResources"
    actions = [
      "autoscaling:DescribeAutoScalingGroups",
      "autoscaling:DescribeAutoScalingInstances",
      "autoscaling:DescribeScalingActivities",
      "ec2:DescribeInstances",
      "ecr:GetAuthorizationToken",
      "ssm:UpdateInstanceInformation",
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    # reason: none of these actions can be tied to a resource (Service Authorization Reference)
    resources = ["*"]
  }

  statement {
    sid     = "Logs"
    actions = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    # reason: the environment's log groups and their streams
    resources = ["arn:${local.partition}:logs:${each.value.region}:${local.account}:log-group:/hubfleet/${each.key}/*"]
  }

  statement {
    sid     = "Images"
    actions = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    # reason: the environment's repositories
    resources = ["arn:${local.partition}:ecr:${each.value.region}:${local.account}:repository/hubfleet-${each.key}/*"]
  }

  statement {
    sid     = "Homes"
    actions = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientRootAccess", "elasticfilesystem:ClientWrite"]
    # reason: a file system's name is an id that AWS gives; its own policy and its tag say whose it is
    resources = ["arn:${local.partition}:elasticfilesystem:${each.value.region}:${local.account}:file-system/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/hubfleet.deployment"
      values   = [each.key]
    }
  }

  statement {
    sid = "Workers"
    actions = [
      "autoscaling:CompleteLifecycleAction",
      "autoscaling:RecordLifecycleActionHeartbeat",
      "autoscaling:SetDesiredCapacity",
      "autoscaling:SetInstanceProtection",
      "autoscaling:TerminateInstanceInAutoScalingGroup",
    ]
    # reason: AWS puts an id of its own making before the name
    resources = ["arn:${local.partition}:autoscaling:${each.value.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/hubfleet-${each.key}-workers"]
  }

  statement {
    sid       = "Events"
    actions   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"]
    resources = ["arn:${local.partition}:sqs:${each.value.region}:${local.account}:hubfleet-${each.key}-events"]
  }

  statement {
    sid     = "Archives"
    actions = ["s3:GetObject", "s3:PutObject"]
    # reason: what is in the environment's bucket
    resources = ["arn:${local.partition}:s3:::hubfleet-${each.key}-${local.account}-${each.value.region}/*"]
  }
}

resource "aws_iam_policy" "machines" {
  for_each    = local.aws
  name        = "${each.key}-machines"
  path        = local.path
  description = "Bounds of the roles of ${each.key}'s machines."
  policy      = data.aws_iam_policy_document.machines[each.key].json
}

# The machine on which Packer makes an image: it pulls the notebook image. One made beforehand, since the
# bake role would otherwise have to make roles.
data "aws_iam_policy_document" "builder_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "builder" {
  for_each = local.aws

  statement {
    #checkov:skip=CKV_AWS_356:GetAuthorizationToken knows no resource
    sid     = "RegistryLogin"
    actions = ["ecr:GetAuthorizationToken"]
    # reason: the action cannot be tied to a resource; what the token opens is the next statement
    resources = ["*"]
  }

  statement {
    sid     = "PullImages"
    actions = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    # reason: the environment's repositories
    resources = ["arn:${local.partition}:ecr:${each.value.region}:${local.account}:repository/hubfleet-${each.key}/*"]
  }
}

resource "aws_iam_role" "builder" {
  for_each           = local.aws
  name               = "${each.key}-builder"
  path               = local.path
  description        = "Machines on which images of ${each.key} are made."
  assume_role_policy = data.aws_iam_policy_document.builder_trust.json
}

resource "aws_iam_role_policy" "builder" {
  for_each = local.aws
  name     = "images"
  role     = aws_iam_role.builder[each.key].id
  policy   = data.aws_iam_policy_document.builder[each.key].json
}

resource "aws_iam_instance_profile" "builder" {
  for_each = local.aws
  name     = "hubfleet-ci-${each.key}-builder"
  path     = local.path
  role     = aws_iam_role.builder[each.key].name
}

# A role for each kind of machine, with what that kind does and nothing else. AWS's managed policy for
# Session Manager is left out on purpose: it lets a machine read every parameter of the account.

data "aws_iam_policy_document" "machine_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "machine" {
  for_each           = local.machines
  name               = "${local.name}-${each.key}"
  description        = "Machines of role ${each.key}."
  assume_role_policy = data.aws_iam_policy_document.machine_trust.json
  # Whoever makes these roles from CI may make none without (bootstrap/machines.tf).
  permissions_boundary = var.permissions_boundary == "" ? null : var.permissions_boundary
}

resource "aws_iam_instance_profile" "machine" {
  for_each = local.machines
  name     = "${local.name}-${each.key}"
  role     = aws_iam_role.machine[each.key].name
}

# What every machine does: secrets of its role, a shell for operators, logs.
data "aws_iam_policy_document" "common" {
  for_each = local.machines

  statement {
    sid     = "Secrets"
    actions = ["ssm:GetParameter"]
    # reason: all secrets of a role, none of another's
    resources = [for part in local.parameter_reads[each.key] : "${local.parameter_arn}${local.secrets}/${part}/*"]
  }

  dynamic "statement" {
    for_each = contains(keys(local.parameter_writes), each.key) ? ["write"] : []

    content {
      sid       = "PublishSecrets"
      actions   = ["ssm:PutParameter"]
      resources = [for name in local.parameter_writes[each.key] : "${local.parameter_arn}${local.secrets}/${name}"]
    }
  }

  statement {
    #checkov:skip=CKV_AWS_111:these actions know no resource
    #checkov:skip=CKV_AWS_356:these actions know no resource
    sid = "SessionManager"
    actions = [
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
    actions = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    # reason: the streams of this role's group, named by the machines
    resources = ["${aws_cloudwatch_log_group.machine[each.key].arn}:*"]
  }
}

resource "aws_iam_role_policy" "common" {
  for_each = local.machines
  name     = "common"
  role     = aws_iam_role.machine[each.key].id
  policy   = data.aws_iam_policy_document.common[each.key].json
}

# Machines that run containers: images and homes.
data "aws_iam_policy_document" "engine" {
  for_each = local.home_powers

  statement {
    #checkov:skip=CKV_AWS_356:GetAuthorizationToken knows no resource
    sid     = "RegistryLogin"
    actions = ["ecr:GetAuthorizationToken"]
    # reason: the action cannot be tied to a resource; what the token opens is the next statement
    resources = ["*"]
  }

  statement {
    sid       = "PullImages"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = [for repository in aws_ecr_repository.this : repository.arn]
  }

  statement {
    sid       = "Homes"
    actions   = each.value
    resources = [aws_efs_file_system.homes.arn]

    condition {
      test     = "StringEquals"
      variable = "elasticfilesystem:AccessPointArn"
      values   = [aws_efs_access_point.homes.arn]
    }
  }
}

resource "aws_iam_role_policy" "engine" {
  for_each = local.home_powers
  name     = "engine"
  role     = aws_iam_role.machine[each.key].id
  policy   = data.aws_iam_policy_document.engine[each.key].json
}

# A worker says itself that it has joined, or that it never will.
data "aws_iam_policy_document" "worker" {
  statement {
    sid       = "LaunchHook"
    actions   = ["autoscaling:CompleteLifecycleAction"]
    resources = [local.group_arn]
  }
}

resource "aws_iam_role_policy" "worker" {
  name   = "launch-hook"
  role   = aws_iam_role.machine["swarm_worker"].id
  policy = data.aws_iam_policy_document.worker.json
}

# The Chef server fetches its own policy, which no Chef server can give it, and keeps its backups.
data "aws_iam_policy_document" "chef_server" {
  statement {
    sid       = "OwnPolicy"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.artifacts.arn}/${local.policy_key}"]
  }

  statement {
    sid     = "Backups"
    actions = ["s3:PutObject"]
    # reason: each backup is an object of its own name; the bucket keeps versions, nothing is deleted from here
    resources = ["${aws_s3_bucket.artifacts.arn}/backups/*"]
  }
}

resource "aws_iam_role_policy" "chef_server" {
  count  = local.embedded_chef ? 1 : 0
  name   = "archives"
  role   = aws_iam_role.machine["chef_server"].id
  policy = data.aws_iam_policy_document.chef_server.json
}

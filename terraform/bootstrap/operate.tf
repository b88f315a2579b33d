# What `./invoke deploy`, `destroy` and `status` ask of AWS themselves, beside what Terraform asks for them.
data "aws_iam_policy_document" "operate" {
  for_each = local.aws

  # The bucket of all environments' states: whether it is as a deploy would make it. It is there before
  # these roles are, and what it is like is no environment's to change.
  statement {
    sid       = "StateBucket"
    actions   = ["s3:GetBucketVersioning"]
    resources = ["arn:${local.partition}:s3:::${var.state_bucket}"]
  }

  statement {
    sid       = "LookForImages"
    actions   = ["ecr:DescribeImages"]
    resources = [local.arns[each.key].repositories]
  }

  # The way to the Chef server, which has no public address: a tunnel to one port of that machine. A shell
  # is another document, which is not named here. The check of documents must stand in both statements.
  statement {
    sid     = "TunnelToChefServer"
    actions = ["ssm:StartSession"]
    # reason: named by an id that EC2 gives; its tags say whose it is, and what
    resources = ["arn:${local.partition}:ec2:${each.value.region}:${local.account}:instance/*"]

    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/hubfleet.deployment"
      values   = [each.key]
    }

    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/hubfleet.role"
      values   = ["chef_server"]
    }

    condition {
      test     = "BoolIfExists"
      variable = "ssm:SessionDocumentAccessCheck"
      values   = ["true"]
    }
  }

  statement {
    sid       = "TunnelsOnly"
    actions   = ["ssm:StartSession"]
    resources = ["arn:${local.partition}:ssm:${each.value.region}::document/AWS-StartPortForwardingSession"]

    condition {
      test     = "BoolIfExists"
      variable = "ssm:SessionDocumentAccessCheck"
      values   = ["true"]
    }
  }

  statement {
    sid     = "OwnTunnels"
    actions = ["ssm:ResumeSession", "ssm:TerminateSession"]
    # reason: named by an id that AWS gives; it notes beside each who has started it
    resources = ["arn:${local.partition}:ssm:${each.value.region}:${local.account}:session/*"]

    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/aws:ssmmessages:session-id"
      values   = ["&{aws:userid}"]
    }
  }
}

resource "aws_iam_role_policy" "operate" {
  for_each = local.aws
  name     = "operate"
  role     = aws_iam_role.ci["${each.key}-apply"].id
  policy   = data.aws_iam_policy_document.operate[each.key].json
}

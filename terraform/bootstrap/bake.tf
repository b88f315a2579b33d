# What Packer needs to make an image (packer-plugin-amazon, IAM Task or Instance Role), less what it would
# need to make roles: the builder's exists.
data "aws_iam_policy_document" "bake" {
  for_each = local.aws

  statement {
    #checkov:skip=CKV_AWS_356:Describe actions know no resource
    sid = "Look"
    actions = [
      "ec2:DescribeImageAttribute",
      "ec2:DescribeImages",
      "ec2:DescribeInstanceStatus",
      "ec2:DescribeInstanceTypeOfferings",
      "ec2:DescribeInstances",
      "ec2:DescribeKeyPairs",
      "ec2:DescribeRegions",
      "ec2:DescribeSecurityGroups",
      "ec2:DescribeSnapshots",
      "ec2:DescribeSubnets",
      "ec2:DescribeTags",
      "ec2:DescribeVolumes",
      "ec2:DescribeVpcs",
    ]
    # reason: Describe actions of EC2 cannot be tied to a resource
    resources = ["*"]
  }

  statement {
    sid = "Make"
    actions = [
      "ec2:AuthorizeSecurityGroupIngress",
      "ec2:CopyImage",
      "ec2:CreateImage",
      "ec2:CreateKeyPair",
      "ec2:CreateSecurityGroup",
      "ec2:CreateSnapshot",
      "ec2:DeleteKeyPair",
      "ec2:RunInstances",
    ]
    resources = concat([local.arns[each.key].machines[0]], [
      # reason: images and snapshots have no account in their names
      "arn:${local.partition}:ec2:${each.value.region}::image/*",
      # reason: as above
      "arn:${local.partition}:ec2:${each.value.region}::snapshot/*",
    ])

    # What carries another environment's tag is out of reach; what is new, or AWS's own, carries none yet.
    condition {
      test     = "StringEqualsIfExists"
      variable = "aws:ResourceTag/hubfleet.deployment"
      values   = [each.key]
    }
  }

  # As in apply.tf: a tag decides who may change a thing.
  statement {
    sid       = "TagNewMachines"
    actions   = ["ec2:CreateTags"]
    resources = [local.arns[each.key].machines[0]]

    condition {
      test     = "Null"
      variable = "ec2:CreateAction"
      values   = ["false"]
    }
  }

  # Packer tags an image and its snapshots once they are there.
  statement {
    sid     = "TagImages"
    actions = ["ec2:CreateTags"]
    resources = [
      # reason: as above
      "arn:${local.partition}:ec2:${each.value.region}::image/*",
      # reason: as above
      "arn:${local.partition}:ec2:${each.value.region}::snapshot/*",
    ]

    condition {
      test     = "StringEqualsIfExists"
      variable = "aws:ResourceTag/hubfleet.deployment"
      values   = [each.key]
    }
  }

  # The group that lets Packer in is not tagged; what it makes beside that carries run_tags.
  statement {
    sid     = "RemoveWayIn"
    actions = ["ec2:DeleteSecurityGroup"]
    # reason: named by an id that EC2 gives; one that is in use cannot be removed
    resources = ["arn:${local.partition}:ec2:${each.value.region}:${local.account}:security-group/*"]

    condition {
      test     = "StringEqualsIfExists"
      variable = "aws:ResourceTag/hubfleet.deployment"
      values   = [each.key]
    }
  }

  statement {
    sid = "ChangeOwn"
    actions = [
      "ec2:DeleteSnapshot",
      "ec2:DeleteVolume",
      "ec2:DeregisterImage",
      "ec2:EnableImageDeprecation",
      "ec2:ModifyImageAttribute",
      "ec2:ModifyInstanceAttribute",
      "ec2:ModifySnapshotAttribute",
      "ec2:StopInstances",
      "ec2:TerminateInstances",
    ]
    resources = concat([local.arns[each.key].machines[0]], [
      # reason: images and snapshots have no account in their names
      "arn:${local.partition}:ec2:${each.value.region}::image/*",
      # reason: as above
      "arn:${local.partition}:ec2:${each.value.region}::snapshot/*",
    ])

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/hubfleet.deployment"
      values   = [each.key]
    }
  }

  statement {
    sid       = "LookForImages"
    actions   = ["ecr:DescribeImages"]
    resources = [local.arns[each.key].repositories]
  }

  statement {
    sid       = "BuilderProfile"
    actions   = ["iam:GetInstanceProfile"]
    resources = [aws_iam_instance_profile.builder[each.key].arn]
  }

  statement {
    sid       = "HandOver"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.builder[each.key].arn]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ec2.amazonaws.com"]
    }
  }
}

# Not inline: with the rest of the apply role's it would be longer than AWS takes of one role.
resource "aws_iam_policy" "bake" {
  for_each    = local.aws
  name        = "${each.key}-bake"
  path        = local.path
  description = "What Packer needs to make machine images of ${each.key}."
  policy      = data.aws_iam_policy_document.bake[each.key].json
}

resource "aws_iam_role_policy_attachment" "bake" {
  for_each   = local.aws
  role       = aws_iam_role.ci["${each.key}-bake"].name
  policy_arn = aws_iam_policy.bake[each.key].arn
}

# The first deploy makes the images that it finds nowhere, so the apply role may, too; both roles are given
# to runs in the same protected environment.
resource "aws_iam_role_policy_attachment" "apply_bake" {
  for_each   = local.aws
  role       = aws_iam_role.ci["${each.key}-apply"].name
  policy_arn = aws_iam_policy.bake[each.key].arn
}

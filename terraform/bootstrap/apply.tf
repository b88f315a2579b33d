# What making, changing and removing a stack needs beside looking at it. Where AWS gives names of its own
# (EC2, EFS), what is removed must carry the deployment's tag.
data "aws_iam_policy_document" "change" {
  for_each = local.aws

  statement {
    sid     = "State"
    actions = ["s3:PutObject"]
    resources = [
      "arn:${local.partition}:s3:::${var.state_bucket}/${each.key}",
      "arn:${local.partition}:s3:::${var.state_bucket}/${each.key}.tflock",
    ]
  }

  statement {
    sid       = "Lock"
    actions   = ["s3:DeleteObject", "s3:GetObject"]
    resources = ["arn:${local.partition}:s3:::${var.state_bucket}/${each.key}.tflock"]
  }

  statement {
    sid = "Make"
    actions = [
      "ec2:AllocateAddress",
      "ec2:AssociateAddress",
      "ec2:AssociateRouteTable",
      "ec2:AttachInternetGateway",
      "ec2:AttachVolume",
      "ec2:AuthorizeSecurityGroupEgress",
      "ec2:AuthorizeSecurityGroupIngress",
      "ec2:CreateFlowLogs",
      "ec2:CreateInternetGateway",
      "ec2:CreateLaunchTemplate",
      "ec2:CreateNatGateway",
      "ec2:CreateNetworkInterface",
      "ec2:CreateRoute",
      "ec2:CreateRouteTable",
      "ec2:CreateSecurityGroup",
      "ec2:CreateSubnet",
      "ec2:CreateVolume",
      "ec2:CreateVpc",
      "ec2:CreateVpcEndpoint",
      "ec2:DisassociateAddress",
      "ec2:DisassociateRouteTable",
      "ec2:ModifyVpcAttribute",
      "ec2:RevokeSecurityGroupEgress",
      "ec2:RevokeSecurityGroupIngress",
      "ec2:RunInstances",
      "elasticfilesystem:CreateAccessPoint",
      "elasticfilesystem:CreateFileSystem",
      "elasticfilesystem:CreateMountTarget",
    ]
    # What a machine starts from belongs to others: an image to its maker, a snapshot of it likewise.
    resources = concat(local.arns[each.key].machines, [
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

  # A tag decides who may change a thing: it is given while a thing is made, or to one's own.
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

  statement {
    sid       = "TagNewHomes"
    actions   = ["elasticfilesystem:TagResource"]
    resources = [local.arns[each.key].machines[1]]

    condition {
      test     = "Null"
      variable = "elasticfilesystem:CreateAction"
      values   = ["false"]
    }
  }

  # The group that AWS makes with each network has no tag yet when Terraform empties it.
  statement {
    sid     = "TagDefaultGroup"
    actions = ["ec2:CreateTags"]
    # reason: named by an id that EC2 gives
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
      "ec2:CreateLaunchTemplateVersion",
      "ec2:CreateTags",
      "ec2:DeleteFlowLogs",
      "ec2:DeleteInternetGateway",
      "ec2:DeleteLaunchTemplate",
      "ec2:DeleteNatGateway",
      "ec2:DeleteRoute",
      "ec2:DeleteRouteTable",
      "ec2:DeleteSecurityGroup",
      "ec2:DeleteSubnet",
      "ec2:DeleteTags",
      "ec2:DeleteVolume",
      "ec2:DeleteVpc",
      "ec2:DeleteVpcEndpoints",
      "ec2:DetachInternetGateway",
      "ec2:DetachVolume",
      "ec2:ModifyInstanceAttribute",
      "ec2:ModifyLaunchTemplate",
      "ec2:ModifySubnetAttribute",
      "ec2:ModifyVolume",
      "ec2:ModifyVpcEndpoint",
      "ec2:ReleaseAddress",
      "ec2:ReplaceRoute",
      "ec2:StartInstances",
      "ec2:StopInstances",
      "ec2:TerminateInstances",
      "elasticfilesystem:DeleteAccessPoint",
      "elasticfilesystem:DeleteFileSystem",
      "elasticfilesystem:DeleteFileSystemPolicy",
      "elasticfilesystem:DeleteMountTarget",
      "elasticfilesystem:ModifyMountTargetSecurityGroups",
      "elasticfilesystem:PutBackupPolicy",
      "elasticfilesystem:PutFileSystemPolicy",
      "elasticfilesystem:PutLifecycleConfiguration",
      "elasticfilesystem:TagResource",
      "elasticfilesystem:UntagResource",
      "elasticfilesystem:UpdateFileSystem",
    ]
    resources = local.arns[each.key].machines

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/hubfleet.deployment"
      values   = [each.key]
    }
  }

  statement {
    sid = "Workers"
    actions = [
      "autoscaling:CreateAutoScalingGroup",
      "autoscaling:CreateOrUpdateTags",
      "autoscaling:DeleteAutoScalingGroup",
      "autoscaling:DeleteLifecycleHook",
      "autoscaling:DeleteTags",
      "autoscaling:PutLifecycleHook",
      "autoscaling:ResumeProcesses",
      "autoscaling:SetInstanceProtection",
      "autoscaling:SuspendProcesses",
      "autoscaling:UpdateAutoScalingGroup",
    ]
    resources = [local.arns[each.key].group]
  }

  statement {
    sid = "Images"
    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchDeleteImage",
      "ecr:BatchGetImage",
      "ecr:CompleteLayerUpload",
      "ecr:CreateRepository",
      "ecr:DeleteLifecyclePolicy",
      "ecr:DeleteRepository",
      "ecr:GetDownloadUrlForLayer",
      "ecr:InitiateLayerUpload",
      "ecr:ListImages",
      "ecr:PutImage",
      "ecr:PutImageScanningConfiguration",
      "ecr:PutImageTagMutability",
      "ecr:PutLifecyclePolicy",
      "ecr:TagResource",
      "ecr:UntagResource",
      "ecr:UploadLayerPart",
    ]
    resources = [local.arns[each.key].repositories]
  }

  statement {
    sid       = "Messages"
    actions   = ["sqs:CreateQueue", "sqs:DeleteQueue", "sqs:SetQueueAttributes", "sqs:TagQueue", "sqs:UntagQueue"]
    resources = [local.arns[each.key].queues]
  }

  statement {
    sid       = "Rules"
    actions   = ["events:DeleteRule", "events:PutRule", "events:PutTargets", "events:RemoveTargets", "events:TagResource", "events:UntagResource"]
    resources = [local.arns[each.key].rules]
  }

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:PutRetentionPolicy", "logs:TagResource", "logs:UntagResource"]
    resources = [local.arns[each.key].logs]
  }

  statement {
    sid       = "Budget"
    actions   = ["budgets:ModifyBudget", "budgets:TagResource", "budgets:UntagResource"]
    resources = [local.arns[each.key].budget]
  }

  statement {
    sid       = "Secrets"
    actions   = ["ssm:AddTagsToResource", "ssm:DeleteParameter", "ssm:DeleteParameters", "ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath", "ssm:PutParameter"]
    resources = local.arns[each.key].parameters
  }

  statement {
    sid       = "Names"
    actions   = ["route53:ChangeResourceRecordSets", "route53:ChangeTagsForResource", "route53:DeleteHostedZone"]
    resources = [local.arns[each.key].zones]
  }

  statement {
    sid = "Discovery"
    actions = [
      "servicediscovery:CreateService",
      "servicediscovery:DeleteNamespace",
      "servicediscovery:DeleteService",
      "servicediscovery:DeregisterInstance",
      "servicediscovery:RegisterInstance",
      "servicediscovery:TagResource",
      "servicediscovery:UntagResource",
      "servicediscovery:UpdateService",
    ]
    resources = local.arns[each.key].discovery
  }

  statement {
    #checkov:skip=CKV_AWS_111:these actions know no resource
    #checkov:skip=CKV_AWS_356:these actions know no resource
    sid = "WithoutResources"
    actions = [
      "ecr:GetAuthorizationToken",
      "logs:CreateLogDelivery",
      "logs:DeleteLogDelivery",
      "route53:AssociateVPCWithHostedZone",
      "route53:CreateHostedZone",
      "route53:GetChange",
      "route53:ListHostedZonesByName",
      "servicediscovery:CreatePrivateDnsNamespace",
    ]
    # reason: Cloud Map, flow logs and ECR's login tie these to no resource that has a name beforehand
    resources = ["*"]
  }

  statement {
    sid = "Bucket"
    actions = [
      "s3:CreateBucket",
      "s3:DeleteBucket",
      "s3:DeleteBucketPolicy",
      "s3:PutBucketPolicy",
      "s3:PutBucketPublicAccessBlock",
      "s3:PutBucketTagging",
      "s3:PutBucketVersioning",
      "s3:PutEncryptionConfiguration",
      "s3:PutLifecycleConfiguration",
    ]
    resources = [local.arns[each.key].bucket]
  }

  statement {
    sid     = "Archives"
    actions = ["s3:GetObject", "s3:PutObject"]
    # reason: policies and backups in the environment's bucket
    resources = ["${local.arns[each.key].bucket}/*"]
  }
}

# Roles of machines: only within the bounds of machines.tf, and handed to machines only.
data "aws_iam_policy_document" "change_roles" {
  for_each = local.aws

  statement {
    sid       = "MakeRolesWithinBounds"
    actions   = ["iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"]
    resources = local.arns[each.key].roles

    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = [local.arns[each.key].boundary]
    }
  }

  statement {
    sid = "ChangeRoles"
    actions = [
      "iam:AddRoleToInstanceProfile",
      "iam:CreateInstanceProfile",
      "iam:DeleteInstanceProfile",
      "iam:DeleteRole",
      "iam:DeleteRolePolicy",
      "iam:RemoveRoleFromInstanceProfile",
      "iam:TagInstanceProfile",
      "iam:TagRole",
      "iam:UntagInstanceProfile",
      "iam:UntagRole",
      "iam:UpdateAssumeRolePolicy",
      "iam:UpdateRoleDescription",
    ]
    resources = local.arns[each.key].roles
  }

  statement {
    sid       = "HandOver"
    actions   = ["iam:PassRole"]
    resources = local.arns[each.key].roles

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ec2.amazonaws.com", "vpc-flow-logs.amazonaws.com"]
    }
  }

  statement {
    sid     = "ServicesOwnRoles"
    actions = ["iam:CreateServiceLinkedRole"]
    # reason: AWS's own roles, one for each service named below, made at their first use in an account
    resources = ["arn:${local.partition}:iam::${local.account}:role/aws-service-role/*"]

    condition {
      test     = "StringEquals"
      variable = "iam:AWSServiceName"
      values   = ["autoscaling.amazonaws.com", "backup.amazonaws.com", "elasticfilesystem.amazonaws.com", "spot.amazonaws.com"]
    }
  }
}

resource "aws_iam_role_policy" "change" {
  for_each = local.aws
  name     = "change"
  role     = aws_iam_role.ci["${each.key}-apply"].id
  policy   = data.aws_iam_policy_document.change[each.key].json
}

resource "aws_iam_role_policy" "change_roles" {
  for_each = local.aws
  name     = "change-roles"
  role     = aws_iam_role.ci["${each.key}-apply"].id
  policy   = data.aws_iam_policy_document.change_roles[each.key].json
}

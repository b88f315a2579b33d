# What `plan` needs to see, and nothing that changes anything: any pull request of the repository gets
# this. It sees no secret, since neither stack nor state holds one. It takes no lock: TF_CLI_ARGS_plan.
data "aws_iam_policy_document" "look" {
  for_each = local.aws

  statement {
    sid       = "State"
    actions   = ["s3:GetObject"]
    resources = ["arn:${local.partition}:s3:::${var.state_bucket}/${each.key}"]
  }

  statement {
    sid       = "StateList"
    actions   = ["s3:ListBucket"]
    resources = ["arn:${local.partition}:s3:::${var.state_bucket}"]
  }

  statement {
    #checkov:skip=CKV_AWS_356:these actions know no resource
    sid = "Look"
    actions = [
      "autoscaling:DescribeAutoScalingGroups",
      "ec2:DescribeAddresses",
      "ec2:DescribeAddressesAttribute",
      "ec2:DescribeAvailabilityZones",
      "ec2:DescribeFlowLogs",
      "ec2:DescribeImages",
      "ec2:DescribeInstanceAttribute",
      "ec2:DescribeInstanceCreditSpecifications",
      "ec2:DescribeInstanceTypes",
      "ec2:DescribeInstances",
      "ec2:DescribeInternetGateways",
      "ec2:DescribeLaunchTemplateVersions",
      "ec2:DescribeLaunchTemplates",
      "ec2:DescribeNatGateways",
      "ec2:DescribeNetworkAcls",
      "ec2:DescribeNetworkInterfaces",
      "ec2:DescribePrefixLists",
      "ec2:DescribeRouteTables",
      "ec2:DescribeSecurityGroupRules",
      "ec2:DescribeSecurityGroups",
      "ec2:DescribeSubnets",
      "ec2:DescribeTags",
      "ec2:DescribeVolumes",
      "ec2:DescribeVpcAttribute",
      "ec2:DescribeVpcEndpoints",
      "ec2:DescribeVpcs",
      "elasticfilesystem:DescribeAccessPoints",
      "elasticfilesystem:DescribeBackupPolicy",
      "elasticfilesystem:DescribeFileSystemPolicy",
      "elasticfilesystem:DescribeFileSystems",
      "elasticfilesystem:DescribeLifecycleConfiguration",
      "elasticfilesystem:DescribeMountTargetSecurityGroups",
      "elasticfilesystem:DescribeMountTargets",
      "logs:DescribeLogGroups",
      "route53:ListHostedZones",
      "servicediscovery:GetOperation",
      "servicequotas:GetServiceQuota",
    ]
    # reason: actions that list, or that AWS ties to no resource (Service Authorization Reference)
    resources = ["*"]
  }

  statement {
    sid       = "LookAtNames"
    actions   = ["ecr:DescribeRepositories", "ecr:GetLifecyclePolicy", "ecr:ListTagsForResource"]
    resources = [local.arns[each.key].repositories]
  }

  statement {
    sid       = "LookAtZones"
    actions   = ["route53:GetHostedZone", "route53:ListResourceRecordSets", "route53:ListTagsForResource"]
    resources = [local.arns[each.key].zones]
  }

  statement {
    sid       = "LookAtDiscovery"
    actions   = ["servicediscovery:GetInstance", "servicediscovery:GetNamespace", "servicediscovery:GetService", "servicediscovery:ListTagsForResource"]
    resources = local.arns[each.key].discovery
  }

  statement {
    sid       = "LookAtQueues"
    actions   = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListQueueTags"]
    resources = [local.arns[each.key].queues]
  }

  statement {
    sid       = "LookAtRules"
    actions   = ["events:DescribeRule", "events:ListTagsForResource", "events:ListTargetsByRule"]
    resources = [local.arns[each.key].rules]
  }

  statement {
    sid       = "LookAtLogs"
    actions   = ["logs:ListTagsForResource", "logs:ListTagsLogGroup"]
    resources = [local.arns[each.key].logs]
  }

  statement {
    sid       = "LookAtBudget"
    actions   = ["budgets:ListTagsForResource", "budgets:ViewBudget"]
    resources = [local.arns[each.key].budget]
  }

  statement {
    sid = "LookAtRoles"
    actions = [
      "iam:GetInstanceProfile",
      "iam:GetRole",
      "iam:GetRolePolicy",
      "iam:ListAttachedRolePolicies",
      "iam:ListInstanceProfilesForRole",
      "iam:ListRolePolicies",
    ]
    resources = local.arns[each.key].roles
  }

  statement {
    sid = "LookAtBucket"
    actions = [
      "s3:GetAccelerateConfiguration",
      "s3:GetBucketAcl",
      "s3:GetBucketCORS",
      "s3:GetBucketLogging",
      "s3:GetBucketObjectLockConfiguration",
      "s3:GetBucketPolicy",
      "s3:GetBucketPublicAccessBlock",
      "s3:GetBucketRequestPayment",
      "s3:GetBucketTagging",
      "s3:GetBucketVersioning",
      "s3:GetBucketWebsite",
      "s3:GetEncryptionConfiguration",
      "s3:GetLifecycleConfiguration",
      "s3:GetReplicationConfiguration",
      "s3:ListBucket",
    ]
    resources = [local.arns[each.key].bucket]
  }
}

# Not inline: with the rest of the apply role's it would be longer than AWS takes of one role.
resource "aws_iam_policy" "look" {
  for_each    = local.aws
  name        = "${each.key}-look"
  path        = local.path
  description = "What a plan of ${each.key} needs to see."
  policy      = data.aws_iam_policy_document.look[each.key].json
}

resource "aws_iam_role_policy_attachment" "plan" {
  for_each   = local.aws
  role       = aws_iam_role.ci["${each.key}-plan"].name
  policy_arn = aws_iam_policy.look[each.key].arn
}

resource "aws_iam_role_policy_attachment" "apply" {
  for_each   = local.aws
  role       = aws_iam_role.ci["${each.key}-apply"].name
  policy_arn = aws_iam_policy.look[each.key].arn
}

# What a stack's things are called; its own files give them these names.
locals {
  arns = {
    for name, aws in local.aws : name => {
      # reason: the repositories, log groups, queues, rules of one environment, each with a name of its own
      repositories = "arn:${local.partition}:ecr:${aws.region}:${local.account}:repository/hubfleet-${name}/*"
      # reason: as above
      queues = "arn:${local.partition}:sqs:${aws.region}:${local.account}:hubfleet-${name}-*"
      # reason: as above
      rules = "arn:${local.partition}:events:${aws.region}:${local.account}:rule/hubfleet-${name}-*"
      # reason: as above, and their streams
      logs = "arn:${local.partition}:logs:${aws.region}:${local.account}:log-group:/hubfleet/${name}/*"
      # reason: zones and namespaces are named by ids that AWS gives
      zones = "arn:${local.partition}:route53:::hostedzone/*"
      discovery = [
        # reason: as above
        "arn:${local.partition}:servicediscovery:${aws.region}:${local.account}:namespace/*",
        # reason: as above
        "arn:${local.partition}:servicediscovery:${aws.region}:${local.account}:service/*",
      ]
      roles = [
        # reason: the roles and profiles of one environment's machines; those of CI are on another path
        "arn:${local.partition}:iam::${local.account}:role/hubfleet-${name}-*",
        # reason: as above
        "arn:${local.partition}:iam::${local.account}:instance-profile/hubfleet-${name}-*",
      ]
      # reason: the secrets of one environment; whoever lists them is asked about the path itself, too
      parameters = [for part in ["", "/*"] : "arn:${local.partition}:ssm:${aws.region}:${local.account}:parameter${local.secrets[name]}${part}"]
      # reason: the group of one environment; AWS puts an id of its own making before the name
      group = "arn:${local.partition}:autoscaling:${aws.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/hubfleet-${name}-workers"
      # reason: EC2, EFS name things by ids that they give; this one region and account
      machines = ["arn:${local.partition}:ec2:${aws.region}:${local.account}:*", "arn:${local.partition}:elasticfilesystem:${aws.region}:${local.account}:*"]
      bucket   = "arn:${local.partition}:s3:::hubfleet-${name}-${local.account}-${aws.region}"
      budget   = "arn:${local.partition}:budgets::${local.account}:budget/hubfleet-${name}"
      boundary = "arn:${local.partition}:iam::${local.account}:policy${local.path}${name}-machines"
    }
  }
}

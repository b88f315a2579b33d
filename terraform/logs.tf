# A log group for each kind of machine, and one for connections that the network refused.
resource "aws_cloudwatch_log_group" "machine" {
  #checkov:skip=CKV_AWS_158:encrypted with CloudWatch's own key; a key of our own costs and protects nobody in a single-tenant account
  #checkov:skip=CKV_AWS_338:logs name students; log_retention_days keeps them no longer than the operator needs
  for_each          = local.machines
  name              = "/hubfleet/${var.environment}/${each.key}"
  retention_in_days = local.aws.log_retention_days
}

resource "aws_cloudwatch_log_group" "refused" {
  #checkov:skip=CKV_AWS_158:encrypted with CloudWatch's own key, like the machines' logs
  #checkov:skip=CKV_AWS_338:addresses of strangers are kept no longer than the machines' logs
  name              = "/hubfleet/${var.environment}/refused-connections"
  retention_in_days = local.aws.log_retention_days
}

resource "aws_flow_log" "refused" {
  vpc_id          = aws_vpc.this.id
  traffic_type    = "REJECT"
  log_destination = aws_cloudwatch_log_group.refused.arn
  iam_role_arn    = aws_iam_role.flow_log.arn
  tags            = { Name = "${local.name}-refused" }
}

data "aws_iam_policy_document" "flow_log_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["vpc-flow-logs.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "flow_log" {
  statement {
    actions = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    # reason: the streams of this one group
    resources = ["${aws_cloudwatch_log_group.refused.arn}:*"]
  }
}

resource "aws_iam_role" "flow_log" {
  name                 = "${local.name}-flow-log"
  description          = "The VPC writes refused connections into its log group."
  assume_role_policy   = data.aws_iam_policy_document.flow_log_trust.json
  permissions_boundary = var.permissions_boundary == "" ? null : var.permissions_boundary
}

resource "aws_iam_role_policy" "flow_log" {
  name   = "write"
  role   = aws_iam_role.flow_log.id
  policy = data.aws_iam_policy_document.flow_log.json
}

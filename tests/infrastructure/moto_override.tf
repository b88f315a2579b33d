# Over terraform/ in a copy of it, for moto, whose address is in AWS_ENDPOINT_URL. What moto cannot do
# is left out or overlooked, one resource after the other; everything else is applied as it stands.

terraform {
  # Beside the copy: there is no bucket before there is a stack.
  backend "local" {}
}

provider "aws" {
  # There are no names such as <bucket>.localhost.
  s3_use_path_style = true
  # moto sells no region, and there is no metadata service here.
  skip_region_validation  = true
  skip_metadata_api_check = true
}

# Left out: what moto refuses.

# PutBackupPolicy of EFS is not implemented.
resource "aws_efs_backup_policy" "homes" {
  count = 0
}

# GetQueueAttributes does not return RedriveAllowPolicy; the provider waits for it in vain.
resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  count = 0
}

# DescribeSubscribersForNotification of Budgets is not implemented.
resource "aws_budgets_budget" "this" {
  count = 0
}

# Played down: moto heeds no condition of a bucket's policy, so that "only by TLS" would refuse all.
resource "aws_s3_bucket_policy" "artifacts" {
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutBucketAcl"
      Resource  = aws_s3_bucket.artifacts.arn
    }]
  })
}

# Overlooked by the second plan: what moto takes, and then tells otherwise than AWS.

# The template's own tags come back as tags of what it launches.
resource "aws_launch_template" "machine" {
  lifecycle {
    ignore_changes = [tag_specifications]
  }
}

# Not returned.
resource "aws_autoscaling_group" "workers" {
  lifecycle {
    ignore_changes = [desired_capacity, mixed_instances_policy]
  }
}

# Comes back with other white space.
resource "aws_sqs_queue" "events" {
  lifecycle {
    ignore_changes = [redrive_policy]
  }
}

# Lost where a rule names a group.
resource "aws_vpc_security_group_ingress_rule" "door" {
  lifecycle {
    ignore_changes = [description]
  }
}

resource "aws_vpc_security_group_egress_rule" "door" {
  lifecycle {
    ignore_changes = [description]
  }
}

# Over terraform/ in a copy of it, for moto, whose address is in AWS_ENDPOINT_URL. What moto cannot do
# is left out, one resource after the other; everything else is applied as it stands.
provider "aws" {
  # There are no names such as <bucket>.localhost.
  s3_use_path_style = true
  # moto sells no region, and no machine has a metadata service here.
  skip_region_validation  = true
  skip_metadata_api_check = true
}

# moto: PutBackupPolicy of EFS is not implemented.
resource "aws_efs_backup_policy" "homes" {
  count = 0
}

# moto: GetQueueAttributes does not return RedriveAllowPolicy; the provider waits for it in vain.
resource "aws_sqs_queue_redrive_allow_policy" "dead" {
  count = 0
}

# moto: DescribeSubscribersForNotification of Budgets is not implemented; the provider asks for ever.
resource "aws_budgets_budget" "this" {
  count = 0
}

# The state lies beside the copy, since there is no bucket before there is a stack.
terraform {
  backend "local" {}
}

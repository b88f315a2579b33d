provider "aws" {
  region              = local.aws.region
  allowed_account_ids = var.account_id == "" ? null : [var.account_id]

  # They reach neither instances nor volumes of a group: launch_templates.tf and autoscaling.tf repeat them.
  default_tags {
    tags = local.tags
  }
}

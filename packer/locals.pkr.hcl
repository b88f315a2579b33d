# The environment over the roles, as chef-client and Terraform merge them.
locals {
  group = jsondecode(file("../environments/${var.environment}.json")).default_attributes
  base  = jsondecode(file("../roles/base.json")).default_attributes
  aws   = merge(local.base.fleet.aws, local.group.fleet.aws)
  disks = merge(local.base.fleet.aws.disks, try(local.group.fleet.aws.disks, {}))

  # Packer cannot ask before it has a builder: the partition goes by the region's name (AWS, ARN format).
  partition = can(regex("^cn-", local.aws.region)) ? "aws-cn" : (can(regex("^us-gov-", local.aws.region)) ? "aws-us-gov" : "aws")

  name = "hubfleet-${var.environment}"
  made = formatdate("YYYYMMDD-hhmm", timestamp())
  here = "/tmp/hubfleet"

  # What every other part of the project labels its things with.
  tags = {
    "hubfleet.deployment" = var.environment
    "hubfleet.managed-by" = "packer"
    "hubfleet.revision"   = var.revision
  }
}

# The environment over the roles, as the stack itself merges them.
locals {
  base = jsondecode(file("../../roles/base.json")).default_attributes.fleet.aws
  aws = {
    for name in var.environments : name => merge(local.base, jsondecode(file("../../environments/${name}.json")).default_attributes.fleet.aws)
  }
  secrets = {
    for name in var.environments : name => jsondecode(file("../../environments/${name}.json")).default_attributes.secrets.path
  }
  # Roles are of the whole account; the provider needs some region to speak to.
  region = values(local.aws)[0].region

  account   = data.aws_caller_identity.this.account_id
  partition = data.aws_partition.this.partition

  tags = { "hubfleet.managed-by" = "terraform" }

  # Apart from what the stacks make: hubfleet-<environment>-* does not reach into this path, so that no
  # role can change itself or its own bounds.
  path = "/hubfleet-ci/"
}

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

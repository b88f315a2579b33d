# Secrets are SecureString parameters that ./invoke makes; Terraform knows their names only, so no
# state, plan or user-data ever holds a value.
locals {
  parameters = {
    for name in ["ca_crt", "key"] : name => "${local.secrets}/bootstrap/${name}"
  }
  parameter_arn = "arn:${data.aws_partition.this.partition}:ssm:${local.aws.region}:${local.account}:parameter"

  # Which parts of the tree a machine reads, and which it writes. The hub publishes the token with
  # which workers join, and keeps the certificate that an ACME authority has issued, with its account.
  parameter_reads = {
    chef_server  = ["bootstrap", "chef_server"]
    hub          = ["bootstrap", "hub", "swarm_worker"]
    swarm_worker = ["bootstrap", "swarm_worker"]
  }
  parameter_writes = {
    hub = ["swarm_worker/join_token", "hub/acme_certificate", "hub/acme_account"]
  }
}

# Names inside the VPC: hub, chef and homes in the environment's zone.
resource "aws_service_discovery_private_dns_namespace" "this" {
  name        = local.zone
  description = "Machines of hubfleet ${var.environment}."
  vpc         = aws_vpc.this.id
}

locals {
  names = { chef_server = "chef", hub = "hub" }
}

resource "aws_service_discovery_service" "machine" {
  for_each = local.singletons
  name     = local.names[each.key]

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.this.id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      # A machine that replaces another is found within a chef-client's first retries.
      ttl = 10
    }
  }
}

resource "aws_service_discovery_instance" "machine" {
  for_each    = local.singletons
  service_id  = aws_service_discovery_service.machine[each.key].id
  instance_id = local.names[each.key]
  attributes  = { AWS_INSTANCE_IPV4 = aws_instance.this[each.key].private_ip }
}

# An alias of the file system's own name, which the mount helper follows and checks the certificate of.
resource "aws_service_discovery_service" "homes" {
  name = trimsuffix(local.homes, ".${local.zone}")

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.this.id
    routing_policy = "WEIGHTED"

    dns_records {
      type = "CNAME"
      ttl  = 60
    }
  }

  lifecycle {
    precondition {
      condition     = endswith(local.homes, ".${local.zone}")
      error_message = "storage.nfs.server of the environment is not a name in fleet.zone."
    }
  }
}

resource "aws_service_discovery_instance" "homes" {
  service_id  = aws_service_discovery_service.homes.id
  instance_id = "homes"
  attributes  = { AWS_INSTANCE_CNAME = aws_efs_file_system.homes.dns_name }
}

# How a machine starts: one template for each role. User-data carries names, never values; what it
# starts is in the image (hubfleet-seed-aws, then hubfleet-bootstrap).
locals {
  # Read by hubfleet-seed-aws on the machine; what a role does not have is null.
  machine_facts = {
    for role, machine in local.machines : role => {
      environment      = var.environment
      role             = role
      region           = local.aws.region
      dns_suffix       = data.aws_partition.this.dns_suffix
      zone             = local.zone
      chef_server_url  = local.chef_url
      bootstrap_client = local.bootstrap_client
      parameters       = local.parameters
      registry         = local.registry
      log_group        = "/hubfleet/${var.environment}/${role}"
      policy_archive   = role == "chef_server" ? { bucket = aws_s3_bucket.artifacts.id, key = local.policy_key } : null
      state            = machine.data == "" ? null : { volume = aws_ebs_volume.state[role].id, directory = machine.data }
      launch_hook      = role == "swarm_worker" ? { group = local.group_name, hook = local.launch_hook } : null
      homes            = contains(keys(local.home_powers), role) ? { file_system = aws_efs_file_system.homes.id, access_point = aws_efs_access_point.homes.id } : null
      workers          = role == "hub" ? { group = local.group_name, queue = aws_sqs_queue.events.url, termination_hook = local.termination_hook } : null
    }
  }

  user_data = { for role, facts in local.machine_facts : role => templatefile("templates/user-data.sh.tftpl", { facts = facts }) }
}

resource "aws_launch_template" "machine" {
  for_each               = local.machines
  name                   = "${local.name}-${each.key}"
  description            = "Machines of role ${each.key}."
  update_default_version = true
  image_id               = local.machine_images[each.key] == "" ? null : local.machine_images[each.key]
  instance_type          = each.value.type
  ebs_optimized          = true
  user_data              = base64encode(local.user_data[each.key])
  vpc_security_group_ids = [aws_security_group.this[each.key].id]
  tags                   = { "hubfleet.role" = each.key }

  iam_instance_profile {
    arn = aws_iam_instance_profile.machine[each.key].arn
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
    # A container on a bridge is one hop further than its machine: what answers to one hop answers to no
    # student. The controller, which needs it, is on the hub's host network.
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "disabled"
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = each.value.disk_gb
      encrypted             = true
      delete_on_termination = true
    }
  }

  dynamic "tag_specifications" {
    for_each = toset(["instance", "volume"])

    content {
      resource_type = tag_specifications.value
      tags          = merge(local.tags, { Name = "${local.name}-${each.key}", "hubfleet.role" = each.key })
    }
  }

  lifecycle {
    precondition {
      condition     = local.machine_images[each.key] != ""
      error_message = "There is no ${each.value.image} image of ${var.environment} in ${local.aws.region}: bake it with packer (docs/explanation/aws.md), or give its id in var.images."
    }
  }
}

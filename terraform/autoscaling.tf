# The workers. How many there are is the controller's decision, which is why desired_capacity is only
# the beginning; which of them ends is its decision as well, which is why all are protected.
locals {
  group_name       = "${local.name}-workers"
  launch_hook      = "joined"
  termination_hook = "emptied"
}

resource "aws_autoscaling_group" "workers" {
  name                  = local.group_name
  min_size              = local.workers.min
  max_size              = local.workers.max
  desired_capacity      = local.workers.min
  vpc_zone_identifier   = [for subnet in aws_subnet.private : subnet.id]
  protect_from_scale_in = true
  # A replacement ends the machine that it replaces as soon as it is healthy, students or not. The
  # rebalance recommendation reaches the controller as an event, which moves no running server.
  capacity_rebalance = false
  # Evening out the zones would end machines for no other reason.
  suspended_processes = ["AZRebalance"]
  # EC2's own checks; whether a worker does its work is the Swarm's knowledge.
  health_check_type         = "EC2"
  health_check_grace_period = 300
  # Terraform would otherwise wait for machines that start only after this resource exists.
  wait_for_capacity_timeout = "0"
  # With the group go its machines: students' servers are stopped before a stack is destroyed.
  force_delete = true

  mixed_instances_policy {
    instances_distribution {
      on_demand_base_capacity                  = local.aws.spot.on_demand_base
      on_demand_percentage_above_base_capacity = local.aws.spot.on_demand_percent
      spot_allocation_strategy                 = "price-capacity-optimized"
    }

    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.machine["swarm_worker"].id
        version            = aws_launch_template.machine["swarm_worker"].latest_version
      }

      dynamic "override" {
        for_each = local.aws.instances.workers

        content {
          instance_type = override.value
        }
      }
    }
  }

  # Hooks stand in the group and not beside it: the first machine must meet them already.
  # A machine counts when it has joined. Its own seed and bootstrap give up after 4 and 15 minutes and
  # say so; one that is silent for longer is replaced.
  initial_lifecycle_hook {
    name                 = local.launch_hook
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    heartbeat_timeout    = 1200
    default_result       = "ABANDON"
  }

  # The controller renews this while it empties a machine; without a controller a machine ends after
  # five minutes. A spot instance ends two minutes after its notice, hook or not.
  initial_lifecycle_hook {
    name                 = local.termination_hook
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    heartbeat_timeout    = 300
    default_result       = "CONTINUE"
  }

  # default_tags of the provider do not reach the machines of a group.
  dynamic "tag" {
    for_each = merge(local.tags, { Name = local.group_name, "hubfleet.role" = "swarm_worker" })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = true
    }
  }

  lifecycle {
    ignore_changes = [desired_capacity]
  }

  depends_on = [
    aws_cloudwatch_event_target.this,
    aws_efs_mount_target.homes,
    aws_iam_role_policy.common,
    aws_iam_role_policy.engine,
    aws_iam_role_policy.worker,
    aws_route.private,
    aws_sqs_queue_policy.events,
    aws_vpc_security_group_egress_rule.students,
  ]
}

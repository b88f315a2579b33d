output "stack" {
  description = "What the commands need to know, as one JSON object: tofu output -json stack."
  value = {
    environment   = var.environment
    account       = local.account
    region        = local.aws.region
    url           = "https://${local.aws.host}"
    hub_address   = aws_eip.hub.public_ip
    chef_url      = local.chef_url
    machines      = { for role, machine in aws_instance.this : role => machine.id }
    workers       = local.group_name
    queue         = aws_sqs_queue.events.url
    dead_letters  = aws_sqs_queue.dead.url
    hooks         = { launch = local.launch_hook, termination = local.termination_hook }
    registry      = local.registry
    repositories  = { for name, repository in aws_ecr_repository.this : name => repository.repository_url }
    artifacts     = aws_s3_bucket.artifacts.id
    policy_key    = local.policy_key
    parameters    = local.parameters
    secrets       = local.secrets
    homes         = { file_system = aws_efs_file_system.homes.id, access_point = aws_efs_access_point.homes.id }
    log_groups    = { for role, group in aws_cloudwatch_log_group.machine : role => group.name }
    images        = local.machine_images
    instance_type = { for role, machine in local.machines : role => machine.type }
  }
}

output "user_data" {
  description = "The user-data of each role, as text: names only, no secret."
  value       = local.user_data
}

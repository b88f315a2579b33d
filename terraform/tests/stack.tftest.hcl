# What the stack decides from an environment, with a provider that invents what only AWS knows:
# `tofu test`, without an account. Values that are checked for their form need one here.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }

  mock_data "aws_availability_zones" {
    defaults = { names = ["a", "b", "c", "d"] }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }

  mock_resource "aws_iam_instance_profile" {
    defaults = { arn = "arn:aws:iam::123456789012:instance-profile/x" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/x" }
  }

  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-central-1:123456789012:x" }
  }

  mock_resource "aws_launch_template" {
    defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:x" }
  }

  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::x", id = "artifacts" }
  }

  mock_resource "aws_efs_file_system" {
    defaults = { arn = "arn:aws:elasticfilesystem:eu-central-1:123456789012:file-system/x", dns_name = "fs.efs" }
  }
}

variables {
  environment = "production"
  images      = { node = "ami-0123456789abcdef0", chef_server = "ami-0123456789abcdef0" }
}

run "names_are_derived_from_the_environment" {
  assert {
    condition     = output.stack.workers == "hubfleet-production-workers" && aws_sqs_queue.events.name == "hubfleet-production-events"
    error_message = "The controller looks for the group and the queue under other names."
  }

  assert {
    condition     = aws_autoscaling_group.workers.min_size == 0 && aws_autoscaling_group.workers.max_size == 30
    error_message = "The group is not as large as fleet.workers says."
  }

  assert {
    condition     = one(aws_autoscaling_group.workers.mixed_instances_policy[0].instances_distribution).on_demand_base_capacity == 1
    error_message = "The environment's own value does not win over the role's."
  }

  assert {
    condition     = length(aws_autoscaling_group.workers.mixed_instances_policy[0].launch_template[0].override) == length(jsondecode(file("../roles/base.json")).default_attributes.fleet.aws.instances.workers)
    error_message = "Not every instance type of the role is an override."
  }
}

run "the_network_has_a_part_for_each_zone" {
  assert {
    condition     = length(aws_subnet.private) == 3 && length(aws_subnet.public) == 3 && length(aws_efs_mount_target.homes) == 3
    error_message = "production has three zones."
  }

  assert {
    condition     = length(distinct(concat([for s in aws_subnet.private : s.cidr_block], [for s in aws_subnet.public : s.cidr_block]))) == 6
    error_message = "Two subnets have the same addresses."
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 1 && length(aws_route.private) == 3
    error_message = "One NAT gateway serves all private subnets."
  }

  assert {
    condition     = alltrue([for name, rule in aws_vpc_security_group_ingress_rule.door : rule.cidr_ipv4 == null || contains([80, 443], rule.to_port)])
    error_message = "A port other than 80 and 443 is open to the world."
  }
}

run "user_data_names_parameters_and_holds_no_value" {
  assert {
    condition     = toset(keys(output.user_data)) == toset(["chef_server", "hub", "swarm_worker"])
    error_message = "Each role has user-data."
  }

  assert {
    condition = alltrue([for role, text in output.user_data :
      jsondecode(split("\nFACTS\n", split("<<'FACTS'\n", text)[1])[0]).parameters.key == "/hubfleet/production/bootstrap/key"
    ])
    error_message = "User-data does not name the key's parameter."
  }

  assert {
    condition     = strcontains(output.user_data.swarm_worker, "\"launch_hook\":{\"group\":\"hubfleet-production-workers\",\"hook\":\"joined\"}")
    error_message = "A worker does not know which hook to complete."
  }

  assert {
    condition     = !strcontains(output.user_data.hub, "\"launch_hook\":{") && strcontains(output.user_data.hub, "\"chef_server_url\":\"https://chef.hubfleet.internal/organizations/hubfleet\"")
    error_message = "The hub's user-data is not its own."
  }

  assert {
    condition     = alltrue([for role, template in aws_launch_template.machine : base64decode(template.user_data) == output.user_data[role] && length(template.user_data) < 16384])
    error_message = "The machines get other user-data, or more than EC2 takes."
  }
}

run "a_smaller_environment_has_less" {
  variables {
    environment = "staging"
  }

  assert {
    condition     = length(aws_subnet.private) == 2 && aws_autoscaling_group.workers.max_size == 2
    error_message = "staging has two zones and at most two workers."
  }

  assert {
    condition     = aws_vpc.this.cidr_block != "10.64.0.0/16" && aws_route53_record.hub.name == "hub.staging.example.org"
    error_message = "staging is mixed up with production."
  }
}

run "an_environment_must_exist" {
  command = plan

  variables {
    environment = "nowhere"
  }

  expect_failures = [var.environment]
}

run "a_local_environment_has_no_stack" {
  command = plan

  variables {
    environment = "local"
  }

  expect_failures = [var.environment]
}

run "an_account_has_twelve_digits" {
  command = plan

  variables {
    account_id = "1234"
  }

  expect_failures = [var.account_id]
}

run "an_image_has_a_known_name_and_an_id" {
  command = plan

  variables {
    images = { worker = "ami-0123456789abcdef0" }
  }

  expect_failures = [var.images]
}

run "a_manifest_is_json" {
  command = plan

  variables {
    image_manifest = "manifest.txt"
  }

  expect_failures = [var.image_manifest]
}

run "without_an_image_nothing_is_made" {
  command = plan

  variables {
    images = {}
  }

  expect_failures = [aws_launch_template.machine]
}

# tests/manifest.json is in the form in which Packer notes what it has made.
run "the_newest_image_of_this_environment_and_region_is_taken" {
  command = plan

  variables {
    images         = {}
    image_manifest = "tests/manifest.json"
  }

  assert {
    condition     = output.stack.images == { chef_server = "ami-00000000000000002", hub = "ami-00000000000000003", swarm_worker = "ami-00000000000000003" }
    error_message = "Another image than the newest of production in its region is taken."
  }
}

run "an_image_that_is_named_goes_before_the_manifest" {
  command = plan

  variables {
    images         = { node = "ami-0000000000000000f" }
    image_manifest = "tests/manifest.json"
  }

  assert {
    condition     = output.stack.images == { chef_server = "ami-00000000000000002", hub = "ami-0000000000000000f", swarm_worker = "ami-0000000000000000f" }
    error_message = "var.images does not go before the manifest."
  }
}

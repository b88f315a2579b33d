# A machine of the base image. It is reached by ssh, with a key of its own and from this address only:
# Debian's image has no agent of Systems Manager yet.
source "amazon-ebs" "debian" {
  region        = local.aws.region
  instance_type = var.instance_type
  subnet_id     = var.subnet_id

  source_ami_filter {
    owners      = [local.aws.base_image.owner]
    most_recent = true

    filters = {
      name                = local.aws.base_image.name
      architecture        = "x86_64"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  communicator                              = "ssh"
  ssh_username                              = "admin"
  temporary_key_pair_type                   = "ed25519"
  ssh_clear_authorized_keys                 = true
  associate_public_ip_address               = true
  temporary_security_group_source_public_ip = true

  # The builder, and every machine made from the image, answers to version 2 of the metadata service only.
  imds_support = "v2.0"

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  # For the notebook image: the builder reads ECR with a role that exists (../terraform/bootstrap), else
  # with one of its own, which ends with it.
  iam_instance_profile = var.builder_profile

  dynamic "temporary_iam_instance_profile_policy_document" {
    for_each = var.builder_profile == "" ? [1] : []

    content {
      Version = "2012-10-17"

      Statement {
        Effect = "Allow"
        Action = ["ecr:GetAuthorizationToken"]
        # reason: this action knows no resources
        Resource = ["*"]
      }

      Statement {
        Effect = "Allow"
        Action = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"]
        # reason: all repositories of this environment, in whichever account this is
        Resource = ["arn:${local.partition}:ecr:${local.aws.region}:*:repository/${local.name}/*"]
      }
    }
  }

  encrypt_boot = true
  kms_key_id   = var.kms_key_id
  deprecate_at = timeadd(timestamp(), "${var.keep_days * 24}h")

  launch_block_device_mappings {
    device_name           = "/dev/xvda"
    volume_type           = "gp3"
    volume_size           = local.disks.root_gb
    encrypted             = true
    kms_key_id            = var.kms_key_id
    delete_on_termination = true
  }

  run_tags        = merge(local.tags, { Name = "${local.name}-builder" })
  run_volume_tags = local.tags
  snapshot_tags   = local.tags
}

# The students' homes. A mount needs TLS and a role of this stack: the file system's own policy
# replaces EFS's default, which lets in anybody who reaches a mount target.
resource "aws_efs_file_system" "homes" {
  #checkov:skip=CKV_AWS_184:encrypted with AWS's own key for EFS; a key of our own costs and protects nobody in a single-tenant account
  creation_token  = "${local.name}-homes"
  encrypted       = true
  throughput_mode = "elastic"
  tags            = { Name = "${local.name}-homes" }

  # Terms end: what nobody has opened for a month costs a tenth.
  lifecycle_policy {
    transition_to_ia = "AFTER_30_DAYS"
  }

  lifecycle_policy {
    transition_to_primary_storage_class = "AFTER_1_ACCESS"
  }
}

# Daily, kept for 35 days: the plan that AWS Backup makes for it.
resource "aws_efs_backup_policy" "homes" {
  file_system_id = aws_efs_file_system.homes.id

  backup_policy {
    status = "ENABLED"
  }
}

resource "aws_efs_mount_target" "homes" {
  for_each        = local.zones
  file_system_id  = aws_efs_file_system.homes.id
  subnet_id       = aws_subnet.private[each.key].id
  security_groups = [aws_security_group.this["homes"].id]
}

resource "aws_efs_access_point" "homes" {
  #checkov:skip=CKV_AWS_330:the homes belong to root and the students' servers run as another user; one identity for all would let each into the others'
  file_system_id = aws_efs_file_system.homes.id
  tags           = { Name = "${local.name}-homes" }

  root_directory {
    path = "/homes"

    creation_info {
      owner_uid   = 0
      owner_gid   = 0
      permissions = "0711"
    }
  }
}

locals {
  # The hub makes homes and gives them to their owner, as root. On a worker root is nobody there.
  home_powers = {
    hub          = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite", "elasticfilesystem:ClientRootAccess"]
    swarm_worker = ["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"]
  }
}

data "aws_iam_policy_document" "homes" {
  dynamic "statement" {
    for_each = local.home_powers

    content {
      sid       = replace(statement.key, "_", "")
      actions   = statement.value
      resources = [aws_efs_file_system.homes.arn]

      principals {
        type        = "AWS"
        identifiers = [aws_iam_role.machine[statement.key].arn]
      }

      condition {
        test     = "StringEquals"
        variable = "elasticfilesystem:AccessPointArn"
        values   = [aws_efs_access_point.homes.arn]
      }
    }
  }

  statement {
    sid    = "OnlyTls"
    effect = "Deny"
    # reason: a refusal, of everything
    actions   = ["*"]
    resources = [aws_efs_file_system.homes.arn]

    principals {
      type = "AWS"
      # reason: a refusal, to everybody
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_efs_file_system_policy" "homes" {
  file_system_id = aws_efs_file_system.homes.id
  policy         = data.aws_iam_policy_document.homes.json
}

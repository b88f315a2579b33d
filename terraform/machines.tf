# The machines of which there is one each, with a volume for what must outlive them.
resource "aws_ebs_volume" "state" {
  #checkov:skip=CKV_AWS_189:encrypted with AWS's own key for EBS; a key of our own costs and protects nobody in a single-tenant account
  for_each          = local.singletons
  availability_zone = local.zone_names[0]
  type              = "gp3"
  size              = local.aws.disks.state_gb
  encrypted         = true
  tags              = { Name = "${local.name}-${each.key}-state", "hubfleet.role" = each.key }
}

resource "aws_instance" "this" {
  #checkov:skip=CKV_AWS_8:encrypted by the launch template
  #checkov:skip=CKV_AWS_79:IMDSv2 is required by the launch template
  #checkov:skip=CKV_AWS_126:metrics every five minutes are enough and free
  #checkov:skip=CKV_AWS_135:EBS-optimized by the launch template
  #checkov:skip=CKV2_AWS_41:the role is in the launch template
  for_each  = local.singletons
  subnet_id = each.key == "hub" ? aws_subnet.public[local.zone_names[0]].id : aws_subnet.private[local.zone_names[0]].id
  # The template gives the same; not said here, Terraform would take them away again.
  tags = { Name = "${local.name}-${each.key}", "hubfleet.role" = each.key }

  launch_template {
    id      = aws_launch_template.machine[each.key].id
    version = aws_launch_template.machine[each.key].latest_version
  }

  lifecycle {
    # The template's, of which the provider keeps a hash and then plans the hash of that hash.
    ignore_changes = [user_data]
  }

  # Without its powers and its way out a machine's first steps would fail, and be tried again only for a while.
  depends_on = [
    aws_iam_role_policy.common,
    aws_iam_role_policy.engine,
    aws_iam_role_policy.chef_server,
    aws_route.private,
    aws_vpc_security_group_egress_rule.internet,
  ]
}

resource "aws_volume_attachment" "state" {
  for_each    = local.singletons
  device_name = "/dev/sdf"
  instance_id = aws_instance.this[each.key].id
  volume_id   = aws_ebs_volume.state[each.key].id
  # The file system is clean when the machine is down; a volume taken from a running one is not.
  stop_instance_before_detaching = true
}

# Every door of the stack: `from` may open `port` of `to`. `world` is the internet. No port 22: Session
# Manager gives a shell without one. Each door between groups is also the other side's way out.
locals {
  doors = {
    hub_http   = { to = "hub", from = "world", protocol = "tcp", port = 80, why = "Redirect to TLS, and ACME challenges." }
    hub_https  = { to = "hub", from = "world", protocol = "tcp", port = 443, why = "Browsers." }
    swarm_join = { to = "hub", from = "swarm_worker", protocol = "tcp", port = 2377, why = "Members of the Swarm to its manager." }

    gossip_tcp_hub        = { to = "hub", from = "swarm_worker", protocol = "tcp", port = 7946, why = "Gossip of the overlay networks." }
    gossip_udp_hub        = { to = "hub", from = "swarm_worker", protocol = "udp", port = 7946, why = "Gossip of the overlay networks." }
    overlay_hub           = { to = "hub", from = "swarm_worker", protocol = "udp", port = 4789, why = "Overlay networks (VXLAN)." }
    gossip_tcp_worker     = { to = "swarm_worker", from = "hub", protocol = "tcp", port = 7946, why = "Gossip of the overlay networks." }
    gossip_udp_worker     = { to = "swarm_worker", from = "hub", protocol = "udp", port = 7946, why = "Gossip of the overlay networks." }
    overlay_worker        = { to = "swarm_worker", from = "hub", protocol = "udp", port = 4789, why = "Overlay networks (VXLAN)." }
    gossip_tcp_among      = { to = "swarm_worker", from = "swarm_worker", protocol = "tcp", port = 7946, why = "Gossip of the overlay networks." }
    gossip_udp_among      = { to = "swarm_worker", from = "swarm_worker", protocol = "udp", port = 7946, why = "Gossip of the overlay networks." }
    overlay_among_workers = { to = "swarm_worker", from = "swarm_worker", protocol = "udp", port = 4789, why = "Overlay networks (VXLAN)." }

    homes_from_hub    = { to = "homes", from = "hub", protocol = "tcp", port = 2049, why = "NFS." }
    homes_from_worker = { to = "homes", from = "swarm_worker", protocol = "tcp", port = 2049, why = "NFS." }
  }
  chef_doors = {
    chef_from_hub    = { to = "chef_server", from = "hub", protocol = "tcp", port = local.chef_port, why = "Chef API." }
    chef_from_worker = { to = "chef_server", from = "swarm_worker", protocol = "tcp", port = local.chef_port, why = "Chef API." }
  }
  all_doors = merge(local.doors, local.embedded_chef ? local.chef_doors : {})

  # Into the internet. What a student may reach is decided on the workers (notebook.egress); the
  # packages, images and AWS's own APIs that machines need are all behind these two ports.
  ways_out = {
    hub_http          = { from = "hub", port = 80, why = "Distribution packages." }
    hub_https         = { from = "hub", port = 443, why = "AWS, images, login providers." }
    chef_server_http  = { from = "chef_server", port = 80, why = "Distribution packages." }
    chef_server_https = { from = "chef_server", port = 443, why = "AWS." }
  }

  groups = setunion(keys(local.machines), ["homes"])
}

resource "aws_security_group" "this" {
  for_each    = local.groups
  name        = "${local.name}-${each.key}"
  description = "hubfleet ${var.environment}: ${each.key}"
  vpc_id      = aws_vpc.this.id
  tags        = { Name = "${local.name}-${each.key}" }
}

resource "aws_vpc_security_group_ingress_rule" "door" {
  for_each                     = local.all_doors
  security_group_id            = aws_security_group.this[each.value.to].id
  description                  = each.value.why
  ip_protocol                  = each.value.protocol
  from_port                    = each.value.port
  to_port                      = each.value.port
  cidr_ipv4                    = each.value.from == "world" ? "0.0.0.0/0" : null
  referenced_security_group_id = each.value.from == "world" ? null : aws_security_group.this[each.value.from].id
}

resource "aws_vpc_security_group_egress_rule" "door" {
  for_each                     = { for name, door in local.all_doors : name => door if door.from != "world" }
  security_group_id            = aws_security_group.this[each.value.from].id
  description                  = each.value.why
  ip_protocol                  = each.value.protocol
  from_port                    = each.value.port
  to_port                      = each.value.port
  referenced_security_group_id = aws_security_group.this[each.value.to].id
}

resource "aws_vpc_security_group_egress_rule" "internet" {
  for_each          = { for name, way in local.ways_out : name => way if contains(local.groups, way.from) }
  security_group_id = aws_security_group.this[each.value.from].id
  description       = each.value.why
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  cidr_ipv4         = "0.0.0.0/0"
}

# Students reach the internet from here (git over ssh, databases of a course); the firewall on each
# worker holds notebook.egress and keeps them from everything inside the VPC.
resource "aws_vpc_security_group_egress_rule" "students" {
  #checkov:skip=CKV_AWS_382:notebook.egress decides on the worker itself which of this a student gets
  security_group_id = aws_security_group.this["swarm_worker"].id
  description       = "Internet for students' servers."
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

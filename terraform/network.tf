# Public subnets hold the hub and the NAT gateways; all other machines have no public address.

data "aws_availability_zones" "this" {
  #checkov:skip=CKV_AWS_394:a region's new zone gets the next letter, and only the first of the list are taken (network.zones)
  state = "available"

  # Local zones lack EFS and most instance types.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  zone_names = slice(data.aws_availability_zones.this.names, 0, local.aws.network.zones)
  # Eight equal parts: the first for public subnets, the second half for private ones.
  zones = {
    for index, name in local.zone_names : name => {
      index   = index
      public  = cidrsubnet(local.aws.network.cidr, 3, index)
      private = cidrsubnet(local.aws.network.cidr, 3, 4 + index)
    }
  }
  nat_zones = slice(local.zone_names, 0, local.aws.network.nat_gateways)
}

resource "aws_vpc" "this" {
  cidr_block           = local.aws.network.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = { Name = local.name }

  lifecycle {
    precondition {
      condition     = length(local.document.override_attributes) == 0
      error_message = "Terraform reads default_attributes only: move what stands under override_attributes of the environment there."
    }
  }
}

# Nothing uses it, so it lets nothing through.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${local.name}-unused" }
}

resource "aws_subnet" "public" {
  for_each                = local.zones
  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = each.value.public
  map_public_ip_on_launch = false
  tags                    = { Name = "${local.name}-public-${each.value.index}" }
}

resource "aws_subnet" "private" {
  for_each                = local.zones
  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = each.value.private
  map_public_ip_on_launch = false
  tags                    = { Name = "${local.name}-private-${each.value.index}" }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = local.name }
}

resource "aws_eip" "nat" {
  for_each = toset(local.nat_zones)
  domain   = "vpc"
  tags     = { Name = "${local.name}-nat-${local.zones[each.key].index}" }
}

resource "aws_nat_gateway" "this" {
  for_each      = toset(local.nat_zones)
  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[each.key].id
  tags          = { Name = "${local.name}-${local.zones[each.key].index}" }
  depends_on    = [aws_internet_gateway.this]
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${local.name}-public" }
}

resource "aws_route" "public" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  for_each       = local.zones
  route_table_id = aws_route_table.public.id
  subnet_id      = aws_subnet.public[each.key].id
}

resource "aws_route_table" "private" {
  for_each = local.zones
  vpc_id   = aws_vpc.this.id
  tags     = { Name = "${local.name}-private-${each.value.index}" }
}

resource "aws_route" "private" {
  for_each               = local.zones
  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[local.nat_zones[each.value.index % length(local.nat_zones)]].id
}

resource "aws_route_table_association" "private" {
  for_each       = local.zones
  route_table_id = aws_route_table.private[each.key].id
  subnet_id      = aws_subnet.private[each.key].id
}

# Free, and the layers of ECR images come from S3: they do not pass the NAT gateway, which is paid by the GB.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${local.aws.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for table in aws_route_table.private : table.id]
  tags              = { Name = "${local.name}-s3" }
}

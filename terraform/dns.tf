# The public name of the hub, in a zone that exists.
data "aws_route53_zone" "public" {
  name         = local.aws.dns_zone
  private_zone = false
}

resource "aws_eip" "hub" {
  domain = "vpc"
  tags   = { Name = "${local.name}-hub" }
}

resource "aws_eip_association" "hub" {
  allocation_id = aws_eip.hub.id
  instance_id   = aws_instance.this["hub"].id
}

resource "aws_route53_record" "hub" {
  zone_id = data.aws_route53_zone.public.zone_id
  name    = local.aws.host
  type    = "A"
  ttl     = 60
  records = [aws_eip.hub.public_ip]
}

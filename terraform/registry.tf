# The images, under one prefix: <registry>/<repository of the role>. Tags are hashes of what an image
# is made from, so no tag ever moves; machines name images by digest.
locals {
  registry = "${local.account}.dkr.ecr.${local.aws.region}.${data.aws_partition.this.dns_suffix}/${local.name}"
}

resource "aws_ecr_repository" "this" {
  #checkov:skip=CKV_AWS_136:encrypted with ECR's own key; a key of our own costs and protects nobody in a single-tenant account
  for_each             = local.images
  name                 = "${local.name}/${each.value}"
  image_tag_mutability = "IMMUTABLE"
  # Every image can be built again from the sources.
  force_delete = true

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "AES256"
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  for_each   = local.images
  repository = aws_ecr_repository.this[each.key].name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Twenty revisions to roll back to."
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 20 }
      action       = { type = "expire" }
    }]
  })
}

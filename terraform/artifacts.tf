# What is too large for a parameter: the Chef server's own policy, and its backups. The backups stay
# when the stack goes: a bucket that is not empty is not deleted.
locals {
  policy_key = "policies/chef_server.tgz"
}

resource "aws_s3_bucket" "artifacts" {
  #checkov:skip=CKV_AWS_18:who reads and writes is in CloudTrail; logs of access would need a second bucket
  #checkov:skip=CKV_AWS_144:backups can be fetched by ./invoke; a second region doubles the cost
  #checkov:skip=CKV_AWS_145:encrypted with S3's own key; a key of our own costs and protects nobody in a single-tenant account
  #checkov:skip=CKV2_AWS_62:nothing waits for new objects
  bucket = "${local.name}-${local.account}-${local.aws.region}"
}

resource "aws_s3_bucket_versioning" "artifacts" {
  bucket = aws_s3_bucket.artifacts.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "artifacts" {
  bucket = aws_s3_bucket.artifacts.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "artifacts" {
  bucket                  = aws_s3_bucket.artifacts.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "artifacts" {
  bucket     = aws_s3_bucket.artifacts.id
  depends_on = [aws_s3_bucket_versioning.artifacts]

  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = 90
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }
}

data "aws_iam_policy_document" "artifacts" {
  statement {
    sid    = "OnlyTls"
    effect = "Deny"
    # reason: a refusal, of everything
    actions = ["s3:*"]
    # reason: the bucket and all that is in it
    resources = [aws_s3_bucket.artifacts.arn, "${aws_s3_bucket.artifacts.arn}/*"]

    principals {
      type = "*"
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

resource "aws_s3_bucket_policy" "artifacts" {
  bucket     = aws_s3_bucket.artifacts.id
  policy     = data.aws_iam_policy_document.artifacts.json
  depends_on = [aws_s3_bucket_public_access_block.artifacts]
}

# GitHub's workflows take a role with a token of their own run; no key of AWS lies anywhere. There are
# three for each environment:
#   plan   reads, from any pull request of this repository (GitHub gives none to a fork's)
#   apply  makes and removes the stack, from the protected environment only
#   bake   makes machine images, from the protected environment only

locals {
  issuer   = "token.actions.githubusercontent.com"
  provider = var.oidc_provider == "" ? aws_iam_openid_connect_provider.github[0].arn : var.oidc_provider

  # What a token says of where it is from (GitHub, OpenID Connect reference).
  subjects = merge([
    for name in var.environments : {
      "${name}-plan"  = "repo:${var.repository}:pull_request"
      "${name}-apply" = "repo:${var.repository}:environment:${name}"
      "${name}-bake"  = "repo:${var.repository}:environment:${name}"
    }
  ]...)
}

resource "aws_iam_openid_connect_provider" "github" {
  count          = var.oidc_provider == "" ? 1 : 0
  url            = "https://${local.issuer}"
  client_id_list = ["sts.amazonaws.com"]
  # AWS checks GitHub's certificate by its own authorities and no longer by these; the argument must be there.
  thumbprint_list = ["6938fd4d98bab03faadb97b34396831e3780aea1", "1c58a3a8518e8759bf075b76b750d4f2df264fcd"]
}

data "aws_iam_policy_document" "trust" {
  for_each = local.subjects

  statement {
    actions = ["sts:AssumeRoleWithWebIdentity"]

    principals {
      type        = "Federated"
      identifiers = [local.provider]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:aud"
      values   = ["sts.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "${local.issuer}:sub"
      values   = [each.value]
    }
  }
}

resource "aws_iam_role" "ci" {
  for_each           = local.subjects
  name               = each.key
  path               = local.path
  description        = "Taken by workflows with the subject ${each.value}."
  assume_role_policy = data.aws_iam_policy_document.trust[each.key].json
  # The longest that a run may take, and not longer (.github/workflows).
  max_session_duration = endswith(each.key, "-plan") ? 3600 : 7200
}

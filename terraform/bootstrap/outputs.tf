output "github" {
  description = "What the repository's settings need (docs/howto/github-actions.md): roles and bounds, by environment."
  value = {
    for name in var.environments : name => {
      AWS_STATE_BUCKET         = var.state_bucket
      AWS_REGION               = local.aws[name].region
      AWS_PLAN_ROLE            = aws_iam_role.ci["${name}-plan"].arn
      AWS_APPLY_ROLE           = aws_iam_role.ci["${name}-apply"].arn
      AWS_BAKE_ROLE            = aws_iam_role.ci["${name}-bake"].arn
      AWS_PERMISSIONS_BOUNDARY = aws_iam_policy.machines[name].arn
      AWS_BUILDER_PROFILE      = aws_iam_instance_profile.builder[name].name
    }
  }
}

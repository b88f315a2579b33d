# The bucket that holds every stack's state, under a key of its own: `init -backend-config=...` names it.
terraform {
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

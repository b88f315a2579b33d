# Bucket, key and region are the account's own: `init -backend-config=...` names them.
terraform {
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

terraform {
  # 1.10 is the first version, of Terraform and of OpenTofu, that locks a state in S3 with a file.
  required_version = ">= 1.10.0"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # Tested with 5.73; version 6 changes how regions are given to resources.
      version = "~> 5.73"
    }
  }
}

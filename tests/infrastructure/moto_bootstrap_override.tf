# Over terraform/bootstrap in a copy of it, for moto, whose address is in AWS_ENDPOINT_URL.

terraform {
  # Beside the copy: moto has no bucket of states.
  backend "local" {}
}

provider "aws" {
  # moto sells no region, and there is no metadata service here.
  skip_region_validation  = true
  skip_metadata_api_check = true
}

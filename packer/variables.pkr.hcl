variable "environment" {
  description = "Name of the environment: all that it decides stands in ../environments/<environment>.json."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,20}$", var.environment))
    error_message = "The name of an environment has small letters, digits and dashes."
  }
}

variable "inputs" {
  description = "Folder of what ./invoke images.bake has made: gems.txt, one <policy>.tgz for each policy, checkout.tgz."
  type        = string
}

variable "registry" {
  description = "Registry and prefix of the images in ECR, as output stack.registry of Terraform has it; empty: the node image is made without the notebook image."
  type        = string
  default     = ""

  validation {
    condition     = var.registry == "" || can(regex("^[0-9]{12}\\.dkr\\.ecr\\.[a-z0-9-]+\\.[a-z.]+(/[a-z0-9_-]+)+$", var.registry))
    error_message = "Expected something such as <account>.dkr.ecr.<region>.amazonaws.com/hubfleet-production."
  }
}

variable "revision" {
  description = "Git commit that the images are made from; a tag of theirs."
  type        = string
  default     = "unknown"

  validation {
    condition     = can(regex("^([0-9a-f]{7,40}(-dirty)?|unknown)$", var.revision))
    error_message = "Expected a commit's hash."
  }
}

variable "subnet_id" {
  description = "Subnet to build in, with a way out; empty: one of the default VPC."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(subnet-[0-9a-f]{8,17})?$", var.subnet_id))
    error_message = "Expected an id such as subnet-0123456789abcdef0."
  }
}

variable "instance_type" {
  description = "Type of the machine that an image is made on."
  type        = string
  default     = "m7i.large"
}

variable "kms_key_id" {
  description = "Key that encrypts the images; empty: AWS's own key for EBS."
  type        = string
  default     = ""
}

variable "keep_days" {
  description = "After so many days an image is marked as deprecated; it stays until somebody removes it."
  type        = number
  default     = 180

  validation {
    condition     = var.keep_days >= 1 && floor(var.keep_days) == var.keep_days
    error_message = "Expected a whole number of days."
  }
}

variable "opentofu_version" {
  description = "OpenTofu of the workstation image."
  type        = string
  default     = "1.10.6"
}

variable "builder_profile" {
  description = "Instance profile of the builder, as output github of ../terraform/bootstrap has it; empty: one that Packer makes and removes, which needs powers over IAM."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[A-Za-z0-9_+=,.@-]{0,128}$", var.builder_profile))
    error_message = "This is no name of an instance profile."
  }
}

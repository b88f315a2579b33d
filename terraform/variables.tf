variable "environment" {
  description = "Name of the environment: all that it decides stands in ../environments/<environment>.json."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,20}$", var.environment)) && fileexists("../environments/${var.environment}.json")
    error_message = "There is no such file in ../environments."
  }

  validation {
    condition     = try(jsondecode(file("../environments/${var.environment}.json")).default_attributes.fleet.backend, "") == "aws"
    error_message = "fleet.backend of this environment is not aws."
  }
}

variable "account_id" {
  description = "The only AWS account to work in; empty: the one whose credentials are in use."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([0-9]{12})?$", var.account_id))
    error_message = "An account has 12 digits."
  }
}

variable "images" {
  description = "AMI ids by image (node, chef_server), in place of those in image_manifest."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for image, id in var.images : contains(["node", "chef_server"], image) && can(regex("^ami-[0-9a-f]{8,17}$", id))])
    error_message = "Expected node and chef_server, each with an id such as ami-0123456789abcdef0."
  }
}

variable "image_manifest" {
  description = "File in which Packer has noted the images it made."
  type        = string
  default     = "../packer/manifest.json"

  validation {
    condition     = endswith(var.image_manifest, ".json")
    error_message = "Expected a JSON file."
  }
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds the machines' roles, as output github of bootstrap/ has it; empty: no bounds."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(arn:[a-z-]+:iam::[0-9]{12}:policy/[A-Za-z0-9/_-]+)?$", var.permissions_boundary))
    error_message = "Expected the ARN of a policy."
  }
}

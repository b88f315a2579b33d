variable "repository" {
  description = "Repository on GitHub whose workflows may take the roles, as owner/name."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}$", var.repository))
    error_message = "Expected owner/name."
  }
}

variable "state_bucket" {
  description = "Bucket with the states of the stacks; the state of an environment has the environment's name as its key."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.state_bucket))
    error_message = "This is no name of a bucket."
  }
}

variable "environments" {
  description = "Environments whose stacks are in this account."
  type        = set(string)

  validation {
    condition     = length(var.environments) > 0 && alltrue([for name in var.environments : try(jsondecode(file("../../environments/${name}.json")).default_attributes.fleet.backend, "") == "aws"])
    error_message = "Expected environments of ../../environments whose fleet.backend is aws."
  }

  # What is called hubfleet-<environment>-... would belong to two of them.
  validation {
    condition     = alltrue(flatten([for name in var.environments : [for other in var.environments : !startswith(other, "${name}-")]]))
    error_message = "The name of one environment is the beginning of another's: give them accounts of their own."
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

variable "oidc_provider" {
  description = "ARN of GitHub's OIDC provider where the account has it already, since there can be but one; empty: it is made."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^(arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/token\\.actions\\.githubusercontent\\.com)?$", var.oidc_provider))
    error_message = "Expected the ARN of an OIDC provider of token.actions.githubusercontent.com."
  }
}

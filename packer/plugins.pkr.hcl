packer {
  required_version = ">= 1.11.0"

  required_plugins {
    amazon = {
      source = "github.com/hashicorp/amazon"
      # Exact: it runs with the powers that bake.yml has in the account.
      version = "1.3.4"
    }
  }
}

# The environment over the roles, as chef-client merges them: one truth for Chef, Python and Terraform.
locals {
  document = jsondecode(file("../environments/${var.environment}.json"))
  group    = local.document.default_attributes
  role     = { for name in ["base", "chef_server", "hub"] : name => jsondecode(file("../roles/${name}.json")).default_attributes }

  base_aws  = local.role.base.fleet.aws
  group_aws = local.group.fleet.aws
  aws = merge(local.base_aws, local.group_aws, {
    for key, value in local.base_aws : key => merge(value, try(local.group_aws[key], {})) if can(keys(value))
  })

  zone     = local.group.fleet.zone
  workers  = local.group.fleet.workers
  homes    = local.group.storage.nfs.server
  secrets  = local.group.secrets.path
  hub_data = try(local.group.hub.data_dir, local.role.hub.hub.data_dir)
  images = {
    for name, image in local.role.hub.images : name => try(local.group.images[name].repository, image.repository)
  }

  chef = merge(local.role.base.chef_server, local.role.chef_server.chef_server, try(local.group.chef_server, {}), {
    for part in ["install", "external"] :
    part => merge(local.role.chef_server.chef_server[part], try(local.group.chef_server[part], {}))
  })
}

locals {
  name    = "hubfleet-${var.environment}"
  account = data.aws_caller_identity.this.account_id

  # What every other part of the project labels its things with.
  tags = {
    "hubfleet.deployment" = var.environment
    "hubfleet.managed-by" = "terraform"
  }

  embedded_chef = local.chef.mode != "external"
  chef_port     = local.chef.mode == "install" ? local.chef.install.port : 443
  chef_address  = local.chef.mode == "install" ? "https://chef.${local.zone}:${local.chef_port}" : "https://chef.${local.zone}"
  chef_url      = "${local.embedded_chef ? local.chef_address : local.chef.external.url}/organizations/${local.chef.organization}"
  # An installed server makes its own validator, named after the organization.
  bootstrap_client = {
    embedded = "bootstrap"
    install  = "${local.chef.organization}-validator"
    external = local.chef.external.bootstrap
  }[local.chef.mode]

  # The machines: what differs between them, and nothing else.
  all_machines = {
    chef_server = {
      image = "chef_server", type = local.aws.instances.chef_server, disk_gb = local.aws.disks.root_gb
      data  = local.chef.mode == "install" ? local.chef.install.data_dir : local.chef.data_dir
    }
    hub          = { image = "node", type = local.aws.instances.hub, disk_gb = local.aws.disks.root_gb, data = local.hub_data }
    swarm_worker = { image = "node", type = local.aws.instances.workers[0], disk_gb = local.aws.disks.worker_gb, data = "" }
  }
  machines   = { for role, machine in local.all_machines : role => machine if role != "chef_server" || local.embedded_chef }
  singletons = { for role, machine in local.machines : role => machine if machine.data != "" }
}

data "aws_caller_identity" "this" {}

data "aws_partition" "this" {}

# What Packer has noted: the last image of each kind that was made for this environment and region.
locals {
  builds = fileexists(var.image_manifest) ? jsondecode(file(var.image_manifest)).builds : []
  baked = {
    for build in local.builds : build.custom_data.image => split(":", build.artifact_id)[1]...
    if build.custom_data.environment == var.environment && startswith(build.artifact_id, "${local.aws.region}:")
  }
  machine_images = {
    for role, machine in local.machines : role => try(var.images[machine.image], reverse(local.baked[machine.image])[0], "")
  }
}

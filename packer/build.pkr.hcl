build {
  name        = "hubfleet"
  description = "Machine images: node (hub and workers), chef_server, workstation."

  source "source.amazon-ebs.debian" {
    name            = "node"
    ami_name        = "${local.name}-node-${local.made}"
    ami_description = "Hub and workers of ${local.name}: engine, chef-client, notebook image."
    tags            = merge(local.tags, { Name = "${local.name}-node", "hubfleet.image" = "node" })
  }

  source "source.amazon-ebs.debian" {
    name            = "chef_server"
    ami_name        = "${local.name}-chef_server-${local.made}"
    ami_description = "Chef server of ${local.name}: chef-client, nginx."
    tags            = merge(local.tags, { Name = "${local.name}-chef_server", "hubfleet.image" = "chef_server" })
  }

  source "source.amazon-ebs.debian" {
    name            = "workstation"
    ami_name        = "${local.name}-workstation-${local.made}"
    ami_description = "Operator's tools of ${local.name}, for CI."
    tags            = merge(local.tags, { Name = "${local.name}-workstation", "hubfleet.image" = "workstation" })
  }

  provisioner "shell" {
    inline = ["mkdir -p ${local.here}", "cloud-init status --wait"]
    # cloud-init ends with 2 where it only has remarks to make (cloud-init, Return codes).
    valid_exit_codes = [0, 2]
  }

  # What a node is made from, the same files as the container image that stands in for a machine.
  provisioner "file" {
    source      = "${path.root}/../images/node"
    destination = local.here
  }

  provisioner "file" {
    source      = "${path.root}/keys"
    destination = local.here
  }

  provisioner "file" {
    source      = "${var.inputs}/gems.txt"
    destination = "${local.here}/gems.txt"
    generated   = true
  }

  provisioner "file" {
    only        = ["amazon-ebs.node"]
    source      = "${var.inputs}/swarm_worker.tgz"
    destination = "${local.here}/policy.tgz"
    generated   = true
  }

  provisioner "file" {
    only        = ["amazon-ebs.chef_server"]
    source      = "${var.inputs}/chef_server.tgz"
    destination = "${local.here}/policy.tgz"
    generated   = true
  }

  provisioner "file" {
    only        = ["amazon-ebs.workstation"]
    source      = "${var.inputs}/checkout.tgz"
    destination = "${local.here}/checkout.tgz"
    generated   = true
  }

  provisioner "shell" {
    execute_command = "chmod +x {{ .Path }}; sudo env {{ .Vars }} {{ .Path }}"
    environment_vars = [
      "HERE=${local.here}",
      "DEBIAN_FRONTEND=noninteractive",
      "REGION=${local.aws.region}",
      "ENVIRONMENT=${var.environment}",
      "REGISTRY=${var.registry}",
      "POLICY=${source.name == "node" ? "swarm_worker" : source.name}",
      "OPENTOFU_VERSION=${var.opentofu_version}",
    ]
    scripts = source.name == "workstation" ? [
      "${path.root}/scripts/020-agent", "${path.root}/scripts/040-workstation", "${path.root}/scripts/090-clean",
      ] : [
      "${path.root}/scripts/010-system", "${path.root}/scripts/020-agent", "${path.root}/scripts/025-homes",
      "${path.root}/scripts/030-converge", "${path.root}/scripts/090-clean",
    ]
  }

  # Read by Terraform (../terraform/locals.tf), which takes the last image of each name.
  post-processor "manifest" {
    output = "${path.root}/manifest.json"
    custom_data = {
      image       = source.name
      environment = var.environment
      revision    = var.revision
    }
  }
}

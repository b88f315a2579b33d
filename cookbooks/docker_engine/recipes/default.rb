#
# The Docker engine of hub and workers.
#
unless Hubfleet::Registry.aws?(node)
  # ECR's certificate is a public one, and its password that of the machine's role.
  engine_registry_trust Hubfleet::Registry.of(node)
end

include_recipe 'docker_engine::image'

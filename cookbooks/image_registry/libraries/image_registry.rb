# Paths of this cookbook.
module ImageRegistry
  CONFIG = '/etc/docker/registry/config.yml'.freeze
  PASSWORDS = '/etc/hubfleet/registry.htpasswd'.freeze
end

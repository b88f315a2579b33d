require_relative 'lib/role_policy'

name 'swarm_worker'
default_source :chef_repo, '..'
RolePolicy.apply(self, 'swarm_worker')

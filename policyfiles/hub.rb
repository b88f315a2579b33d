require_relative 'lib/role_policy'

name 'hub'
default_source :chef_repo, '..'
RolePolicy.apply(self, 'hub')

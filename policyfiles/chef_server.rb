require_relative 'lib/role_policy'

name 'chef_server'
default_source :chef_repo, '..'
RolePolicy.apply(self, 'chef_server')

#
# Homes of the students, on the hub (which makes them) and on the workers (which mount them).
#
efs = HomeStorage::Efs.of(node) if node['storage']['type'] == 'nfs4'

home_storage node['storage']['homes'] do
  type efs ? 'efs' : node['storage']['type']
  server efs ? efs['file_system'] : node['storage']['nfs']['server']
  access_point efs['access_point'] if efs
  export node['storage']['nfs']['export']
  options node['storage']['nfs']['options']
end

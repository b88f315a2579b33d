#
# Homes of the students, on the hub (which makes them) and on the workers (which mount them).
#
home_storage node['storage']['homes'] do
  type node['storage']['type']
  server node['storage']['nfs']['server']
  export node['storage']['nfs']['export']
  options node['storage']['nfs']['options']
end

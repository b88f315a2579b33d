#
# What a worker needs before students come: the image, and the proof that it runs here.
#
notebook = "registry.#{node['fleet']['zone']}/#{node['images']['notebook']['repository']}:#{node['images']['notebook']['tag']}"

birth_phase 'pulling' do
  action :stamp
end

engine_image notebook do
  # Three times the budget of the image: compressed layers, unpacked layers, room for the containers.
  min_free_mb 2100
  action %i(pull prune)
end

notebook_probe notebook do
  uid node['notebook']['uid']
  memory_mb node['notebook']['memory_limit_mb']
  homes node['storage']['homes']
end

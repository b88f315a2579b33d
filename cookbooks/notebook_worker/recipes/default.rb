#
# What a worker needs before students come: the image, and the proof that it runs here.
#
notebook = Hubfleet::Registry.reference(node, 'notebook')

birth_phase 'pulling' do
  action :stamp
end

include_recipe 'notebook_worker::image'

engine_image "older than #{notebook}" do
  reference notebook
  action :prune
end

notebook_probe notebook do
  uid node['notebook']['uid']
  memory_mb node['notebook']['memory_limit_mb']
  homes node['storage']['homes']
end

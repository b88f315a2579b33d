#
# What a machine image holds for workers: the notebook image, so that a worker need not wait for it.
#
engine_image Hubfleet::Registry.reference(node, 'notebook') do
  # Three times the budget of the image: compressed layers, unpacked layers, room for the containers.
  min_free_mb 2100
end

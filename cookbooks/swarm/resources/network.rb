provides :swarm_network
resource_name :swarm_network
unified_mode true

description 'An overlay network with a fixed subnet. An existing network that differs is an error: it cannot be changed while containers use it.'

property :network_name, String,
         name_property: true,
         description: 'Name of the network.'

property :subnet, String,
         required: true,
         description: 'Addresses, as CIDR.'

property :internal, [true, false],
         default: false,
         description: 'No way out of the network.'

property :attachable, [true, false],
         default: false,
         description: 'Containers outside of services may join.'

property :options, Hash,
         default: {},
         description: 'Options of the overlay driver.'

action :create, description: 'Create the network unless it exists.' do
  engine = Swarm::Engine.new
  existing = engine.network(new_resource.network_name)
  if existing
    check(existing)
  else
    converge_by("create overlay network #{new_resource.network_name}, #{new_resource.subnet}") do
      engine.create_network(desired)
    end
  end
end

action_class do
  def desired
    {
      'Name' => new_resource.network_name,
      'CheckDuplicate' => true,
      'Driver' => 'overlay',
      'Internal' => new_resource.internal,
      'Attachable' => new_resource.attachable,
      'IPAM' => { 'Driver' => 'default', 'Config' => [{ 'Subnet' => new_resource.subnet }] },
      'Options' => new_resource.options.to_h,
    }
  end

  def check(existing)
    differences = Swarm::Diffs.network(existing, desired)
    return if differences.empty?

    text = differences.map { |name, (is, wanted)| "#{name} is #{is.inspect}, should be #{wanted.inspect}" }.join('; ')
    raise Swarm::Error, "network #{new_resource.network_name} differs and cannot be changed in place: #{text}. Remove it when nothing uses it"
  end
end

provides :swarm_manager
resource_name :swarm_manager
unified_mode true

description 'Makes this engine the manager of a new swarm, once.'

property :advertise_addr, String,
         name_property: true,
         callbacks: { 'must be an IPv4 address' => ->(value) { Swarm::Addresses.ipv4?(value) } },
         description: 'Address of this node on the fleet network; never guessed.'

property :port, Integer,
         default: 2377,
         description: 'Port on which the manager takes members.'

property :default_addr_pool, String,
         required: true,
         description: 'Pool of overlay networks without a subnet of their own, as CIDR.'

property :subnet_size, Integer,
         required: true,
         description: 'Prefix length of one network of the pool.'

action :init, description: 'Start a swarm if this engine is in none; raise if it is in one that it does not manage.' do
  engine = Swarm::Engine.new
  state = engine.state
  if state.inactive?
    converge_by("start a swarm at #{new_resource.advertise_addr}:#{new_resource.port}") do
      engine.init(**%i(advertise_addr port default_addr_pool subnet_size).to_h { |name| [name, new_resource.public_send(name)] })
    end
  else
    check(state)
  end
end

action_class do
  def check(state)
    state.reject_unusable!
    raise Swarm::Error, "this engine is a worker of another swarm (managers #{state.manager_addrs.join(', ')}): run `docker swarm leave` first" unless state.manager?

    differences = {
      'advertised address' => [state.node_addr, new_resource.advertise_addr],
      'default_addr_pool' => [state.cluster['DefaultAddrPool'], [new_resource.default_addr_pool]],
      'subnet_size' => [state.cluster['SubnetSize'], new_resource.subnet_size],
    }.reject { |_, (is, wanted)| is == wanted }
    return if differences.empty?

    text = differences.map { |name, (is, wanted)| "#{name} is #{is}, should be #{wanted}" }.join('; ')
    raise Swarm::Error, "the swarm of this engine cannot be changed in place: #{text}"
  end
end

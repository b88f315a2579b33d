provides :swarm_member
resource_name :swarm_member
unified_mode true

description 'Makes this engine a worker of a swarm. The token goes to the engine in a request body and appears in no log and no process list.'

property :managers, Array,
         required: [:join],
         callbacks: { 'must be host:port, at least one' => ->(value) { value.any? && value.all? { |item| item.match?(/\A[A-Za-z0-9.-]+:\d+\z/) } } },
         description: 'Managers, tried in order.'

property :advertise_addr, String,
         required: [:join],
         callbacks: { 'must be an IPv4 address' => ->(value) { Swarm::Addresses.ipv4?(value) } },
         description: 'Address of this node on the fleet network.'

property :port, Integer,
         default: 2377,
         description: 'Port to listen on, should this node be promoted.'

property :token_role, String,
         default: 'swarm_worker',
         desired_state: false,
         description: 'Role under which the manager publishes the join token.'

property :token_name, String,
         default: 'join_token',
         desired_state: false,
         description: 'Name of that secret; it is read at each attempt.'

property :deadline_s, Integer,
         default: 120,
         desired_state: false,
         description: 'Seconds for all attempts together.'

action :join, description: 'Join unless this engine is a member; raise if it is a member of another swarm.' do
  engine = Swarm::Engine.new
  deadline = Swarm::Deadline.new(new_resource.deadline_s)
  # A join that an earlier run began may still come through.
  state = deadline.wait { engine.state.then { |now| now unless now.pending? } } || engine.state
  state.reject_unusable!
  if state.active?
    Swarm::Joining.check_home!(state, new_resource.managers)
  else
    converge_by("join the swarm of #{new_resource.managers.join(', ')}") do
      joining(engine, deadline).run
    end
  end
end

action_class do
  def joining(engine, deadline)
    Swarm::Joining.new(engine,
      managers: new_resource.managers,
      advertise_addr: new_resource.advertise_addr,
      port: new_resource.port,
      token: -> { published_token },
      deadline: deadline)
  end

  def published_token
    Hubfleet::Secrets.for(node).read(new_resource.token_role, new_resource.token_name).strip
  rescue Hubfleet::Secrets::Missing
    nil
  end
end

provides :swarm_node
resource_name :swarm_node
unified_mode true

description 'A node of the swarm as its manager sees it. Works on managers only: workers can neither label nor drain themselves.'

property :host, String,
         name_property: true,
         description: 'Host name of the node.'

property :labels, Hash,
         default: {},
         description: 'Labels that must be there; one with value nil must not. Others stay.'

property :availability, String,
         equal_to: %w(active pause drain),
         description: 'Whether the scheduler may use the node; left as it is when not given.'

property :force, [true, false],
         default: false,
         desired_state: false,
         description: ':remove also a node that is not down.'

property :deadline_s, Integer,
         default: 120,
         desired_state: false,
         description: 'Seconds that :drain waits for the tasks to end.'

action :update, description: 'Set labels and availability.' do
  apply(find!, new_resource.availability)
end

action :drain, description: 'Take all services off the node and wait until no task runs there. Servers of students end too.' do
  found = find!
  apply(found, 'drain')
  running = nil
  empty = Swarm::Deadline.new(new_resource.deadline_s).wait do
    running = engine.tasks_on(found).select { |task| task.dig('Status', 'State') == 'running' }
    running.empty?
  end
  raise Swarm::Error, "#{new_resource.host} still runs #{running.length} tasks after #{new_resource.deadline_s} s" unless empty
end

action :remove, description: 'Forget a node that has left; nothing to do when it is not known.' do
  candidates.each do |found|
    state = found.dig('Status', 'State')
    raise Swarm::Error, "#{new_resource.host} is #{state}: it must leave the swarm before it can be removed" unless state == 'down' || new_resource.force

    converge_by("remove node #{new_resource.host} (#{found['ID']})") do
      engine.remove_node(found, force: new_resource.force)
    end
  end
end

action_class do
  def engine
    @engine ||= Swarm::Engine.new
  end

  def candidates
    engine.nodes.select { |item| item.dig('Description', 'Hostname') == new_resource.host }
  end

  # A machine that joined again after a loss is known twice; the one that is down is the old one.
  def find!
    found = candidates
    found = found.reject { |item| item.dig('Status', 'State') == 'down' } if found.length > 1
    raise Swarm::Error, "the swarm has #{found.length} nodes named #{new_resource.host}" unless found.one?

    found.first
  end

  def apply(found, availability)
    spec = Swarm::Diffs.node_spec(found['Spec'], labels: new_resource.labels.to_h, availability: availability)
    return unless spec

    converge_by("update node #{new_resource.host}: #{spec['Availability']}, labels #{spec['Labels']}") do
      engine.update_node(found, spec)
    end
  end
end

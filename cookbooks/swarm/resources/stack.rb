provides :swarm_stack
resource_name :swarm_stack
unified_mode true

description 'Services from a stack file. What runs is compared with the file, so that a second run changes nothing, and a service that was removed or changed by hand is put right.'

property :stack_name, String,
         name_property: true,
         description: 'Name of the stack, first part of the names of its services.'

property :file, String,
         required: true,
         description: 'Stack file on this node.'

property :wait_for, Array,
         default: [],
         desired_state: false,
         description: 'Services of the file that must run, healthy, at the end.'

property :deadline_s, Integer,
         default: 180,
         desired_state: false,
         description: 'Seconds for that.'

property :record, String,
         default: lazy { "/var/lib/hubfleet/stacks/#{stack_name}.json" },
         desired_state: false,
         description: 'Where the fingerprints of the deployed services are kept.'

action :deploy, description: 'Deploy where a service differs, then wait until the services run.' do
  stack = Swarm::Stack.new(new_resource.stack_name, ::File.read(new_resource.file))
  reasons = stack.differences(running, recorded)
  if reasons.any?
    converge_by(["deploy stack #{stack.name}", *reasons]) do
      shell_out!('docker', 'stack', 'deploy', '--resolve-image', 'never', '--prune', '--compose-file', '-', stack.name,
                 input: stack.document, timeout: 120)
      save(stack.fingerprints(running))
    end
  end
  wait_until_up(stack) unless whyrun_mode?
end

action_class do
  def engine
    @engine ||= Swarm::Engine.new
  end

  def running
    engine.services("#{Swarm::Stack::NAMESPACE_LABEL}=#{new_resource.stack_name}")
  end

  def recorded
    JSON.parse(::File.read(new_resource.record))
  rescue Errno::ENOENT, JSON::ParserError
    {}
  end

  def save(fingerprints)
    ::FileUtils.mkdir_p(::File.dirname(new_resource.record))
    ::File.write(new_resource.record, JSON.pretty_generate(fingerprints))
  end

  def wait_until_up(stack)
    last = {}
    up = Swarm::Deadline.new(new_resource.deadline_s).wait do
      watched = running.select { |item| new_resource.wait_for.include?(stack.short(item)) }
      last = watched.to_h { |item| [item, engine.tasks_of(item['ID'])] }.reject { |item, tasks| Swarm::Stack.up?(item, tasks) }
      last.empty?
    end
    return if up

    text = last.map { |item, tasks| "#{item['Spec']['Name']}: #{Swarm::Stack.last_word(tasks)}" }.join('; ')
    raise Swarm::Error, "not running after #{new_resource.deadline_s} s: #{text} (see `docker service logs SERVICE`)"
  end
end

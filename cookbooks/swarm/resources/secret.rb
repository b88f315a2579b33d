provides :swarm_secret
resource_name :swarm_secret
unified_mode true

description 'A Swarm secret under a name that changes with its value, since a secret cannot be changed while a service uses it. `Swarm::Diffs.secret_name` gives the name for a stack file.'

property :secret_name, String,
         name_property: true,
         description: 'Name without version.'

property :value, String,
         required: true,
         sensitive: true,
         desired_state: false,
         description: 'The value.'

action :create, description: 'Create the secret of this value unless it exists.' do
  unless versions.any? { |item| item['Spec']['Name'] == current_name }
    converge_by("create secret #{current_name}") do
      engine.create_secret(
        'Name' => current_name,
        'Labels' => { 'hubfleet.secret' => new_resource.secret_name },
        'Data' => [new_resource.value].pack('m0')
      )
    end
  end
end

action :prune, description: 'Remove older versions that no service uses.' do
  Swarm::Diffs.unused_secrets(versions, engine.services, current_name).each do |item|
    converge_by("remove secret #{item['Spec']['Name']}") do
      engine.remove_secret(item['ID'])
    end
  end
end

action_class do
  def engine
    @engine ||= Swarm::Engine.new
  end

  def current_name
    Swarm::Diffs.secret_name(new_resource.secret_name, new_resource.value)
  end

  def versions
    engine.secrets("hubfleet.secret=#{new_resource.secret_name}")
  end
end

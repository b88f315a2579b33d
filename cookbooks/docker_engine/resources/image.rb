provides :engine_image
resource_name :engine_image
unified_mode true

description 'A container image on this engine: pulled when absent, older tags removed when no container needs them.'

property :reference, String,
         name_property: true,
         callbacks: { 'must name a fixed tag' => ->(value) { value.match?(/:[A-Za-z0-9_][A-Za-z0-9_.-]*\z/) && !value.end_with?(':latest') } },
         description: 'Full reference with tag, such as registry.hubfleet.internal/hubfleet/notebook:0123456789ab.'

property :image_id, String,
         description: 'Id of the image that is there; read only.'

property :attempts, Integer,
         default: 5,
         desired_state: false,
         description: 'Pulls to try before giving up.'

property :pause_s, Integer,
         default: 3,
         desired_state: false,
         description: 'Seconds between two of them.'

property :min_free_mb, Integer,
         default: 0,
         desired_state: false,
         description: 'MiB that must be free in data_root before a pull.'

property :data_root, String,
         default: '/var/lib/docker',
         desired_state: false,
         description: 'Where the engine keeps images.'

load_current_value do |new_resource|
  found = shell_out('docker', 'image', 'inspect', '--format', '{{.Id}}', new_resource.reference)
  current_value_does_not_exist! if found.error?
  image_id found.stdout.strip
end

action :pull, description: 'Pull the image unless it is there.' do
  unless current_resource
    converge_by("pull #{new_resource.reference}") do
      check_space
      pull
    end
  end
end

action :prune, description: 'Remove other tags of the same repository that no container needs.' do
  api = DockerEngine::Api.new
  repository, = DockerEngine::Images.split(new_resource.reference)
  old = DockerEngine::Images.prunable(
    api.get('/images/json', 'filters' => { 'reference' => ["#{repository}:*"] }),
    api.get('/containers/json', 'all' => 'true'),
    new_resource.reference
  )
  old.each do |reference|
    converge_by("remove image #{reference}") do
      shell_out!('docker', 'image', 'rm', reference)
    end
  end
end

action_class do
  def check_space
    return if new_resource.min_free_mb.zero?

    free = shell_out!('df', '--output=avail', '--block-size=1M', new_resource.data_root).stdout.lines.last.to_i
    return if free >= new_resource.min_free_mb

    raise "#{new_resource.data_root} has #{free} MiB free, #{new_resource.reference} needs #{new_resource.min_free_mb}: enlarge the disk or remove images"
  end

  def pull
    (1..new_resource.attempts).each do |attempt|
      result = shell_out('docker', 'pull', '--quiet', new_resource.reference, timeout: 1800)
      break unless result.error?

      reason = result.stderr.strip
      raise "the registry does not hold #{new_resource.reference}: push it and run chef-client again (#{reason})" if DockerEngine::Images.absent?(reason)
      raise "cannot pull #{new_resource.reference}, #{attempt} attempts: #{reason}" if attempt == new_resource.attempts

      Chef::Log.warn("pull of #{new_resource.reference} failed, attempt #{attempt}: #{reason}")
      sleep(new_resource.pause_s)
    end
  end
end

provides :engine_config
resource_name :engine_config
unified_mode true

description 'Owns daemon.json and runs the engine with it. A changed file is validated first, and restarts the engine only while nothing but our own services runs on it.'

property :path, String,
         name_property: true,
         description: 'The configuration file.'

property :settings, Hash,
         required: [:create],
         description: 'Content of the file; nothing else will be in it.'

property :pending_marker, String,
         default: '/var/lib/hubfleet/docker-restart-pending',
         description: 'File that exists while a restart waits for the engine to be idle.'

property :last_good, String,
         default: '/var/lib/hubfleet/daemon.json.last-good',
         description: 'Copy of the file with which the engine last ran; put back when it does not start with a new one.'

action :create, description: 'Write the file, enable and start the engine, restart it if it runs with an older file and is idle.' do
  directory ::File.dirname(new_resource.path) do
    owner 'root'
    group 'root'
    mode '0755'
    recursive true
  end

  file new_resource.path do
    content DockerEngine::Config.render(new_resource.settings)
    owner 'root'
    group 'root'
    mode '0644'
    verify { |path| valid?(path) }
  end

  service 'docker' do
    action %i(enable start)
  end

  busy = stale? ? DockerEngine::Load.names : []
  Chef::Log.warn("docker_engine: #{new_resource.path} has changed; the engine keeps its old configuration until these end: #{busy.first(10).join(', ')}") if busy.any?

  if stale? && busy.empty?
    converge_by("restart the engine with its new #{new_resource.path}") do
      restart
    end
  end

  [new_resource.pending_marker, new_resource.last_good].map { |path| ::File.dirname(path) }.uniq.each do |parent|
    directory parent do
      owner 'root'
      group 'root'
      mode '0755'
      recursive true
    end
  end

  file new_resource.last_good do
    content lazy { ::File.read(new_resource.path) }
    owner 'root'
    group 'root'
    mode '0644'
    not_if { stale? }
  end

  file new_resource.pending_marker do
    content "#{new_resource.path} has changed; the engine is restarted by chef-client when it is idle.\n"
    owner 'root'
    group 'root'
    mode '0644'
    action busy.any? ? :create : :delete
  end
end

action_class do
  def stale?
    Hubfleet::Unit.new('docker.service').older_than?([new_resource.path])
  end

  def valid?(path)
    result = shell_out('dockerd', '--validate', "--config-file=#{path}")
    raise "the Docker engine refuses its new configuration, #{new_resource.path} stays as it is: #{result.stderr.strip}" if result.error?

    true
  end

  # Validation does not see everything: some settings fail only at the start.
  def restart
    return unless shell_out('systemctl', 'restart', 'docker.service', timeout: 300).error?

    reason = shell_out('journalctl', '--unit=docker.service', '--no-pager', '--lines=20', '--output=cat').stdout[/failed to start daemon.*/]
    if ::File.exist?(new_resource.last_good)
      ::FileUtils.cp(new_resource.last_good, new_resource.path)
      shell_out!('systemctl', 'reset-failed', 'docker.service')
      shell_out!('systemctl', 'start', 'docker.service', timeout: 300)
      outcome = 'it runs with the previous one again'
    else
      outcome = 'there is no previous one to go back to'
    end
    raise "the Docker engine does not start with its new configuration, #{outcome}: #{reason || 'see journalctl --unit=docker'}"
  end
end

module Swarm
  # The requests of this cookbook, in the words of the engine's API.
  class Engine
    def initialize(api = DockerEngine::Api.new)
      @api = api
    end

    def state
      State.new(@api.get('/info').fetch('Swarm'))
    end

    def init(advertise_addr:, port:, default_addr_pool:, subnet_size:)
      @api.post('/swarm/init', {
                  'ListenAddr' => "0.0.0.0:#{port}",
                  'AdvertiseAddr' => "#{advertise_addr}:#{port}",
                  'DefaultAddrPool' => [default_addr_pool],
                  'SubnetSize' => subnet_size,
                  'ForceNewCluster' => false,
                })
    end

    def join(manager:, token:, advertise_addr:, port:)
      @api.post('/swarm/join', {
                  'ListenAddr' => "0.0.0.0:#{port}",
                  'AdvertiseAddr' => "#{advertise_addr}:#{port}",
                  'RemoteAddrs' => [manager],
                  'JoinToken' => token,
                })
    end

    # Ends a join that goes on in the background; a worker loses nothing else by it.
    def leave
      @api.post('/swarm/leave', nil, 'force' => 'true')
    end

    def join_token(role)
      @api.get('/swarm').fetch('JoinTokens').fetch(role.capitalize)
    end

    # nil when there is no such network; the name filter of the API matches parts of names.
    def network(name)
      @api.get('/networks', 'filters' => { 'name' => [name] }).find { |item| item['Name'] == name }
    end

    def create_network(document)
      @api.post('/networks/create', document)
    end

    def nodes
      @api.get('/nodes')
    end

    def update_node(node, spec)
      @api.post("/nodes/#{node.fetch('ID')}/update", spec, 'version' => node.fetch('Version').fetch('Index'))
    end

    def remove_node(node, force:)
      @api.delete("/nodes/#{node.fetch('ID')}", 'force' => force)
    end

    # Tasks that should run or do run on a node.
    def tasks_on(node)
      @api.get('/tasks', 'filters' => { 'node' => [node.fetch('ID')] })
    end

    def secrets(label)
      @api.get('/secrets', 'filters' => { 'label' => [label] })
    end

    def create_secret(document)
      @api.post('/secrets/create', document)
    end

    def remove_secret(id)
      @api.delete("/secrets/#{id}")
    end

    def services(label = nil)
      @api.get('/services', label ? { 'status' => 'true', 'filters' => { 'label' => [label] } } : { 'status' => 'true' })
    end

    def tasks_of(service_id)
      @api.get('/tasks', 'filters' => { 'service' => [service_id] })
    end
  end
end

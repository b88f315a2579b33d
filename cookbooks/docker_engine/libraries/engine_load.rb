module DockerEngine
  # What a restart of the engine would cut: everything that is not part of our own stack.
  class Load
    OWN_STACK = 'hubfleet'.freeze
    STACK_LABEL = 'com.docker.stack.namespace'.freeze

    # Names of what runs here or, on a manager, anywhere in the Swarm (a student behind the proxy
    # of this very node); empty when the engine is idle or does not answer.
    def self.names(api = Api.new)
      containers = foreign(api.get('/containers/json')).map { |item| Array(item['Names']).first.to_s.delete_prefix('/') }
      return containers unless api.get('/info').dig('Swarm', 'ControlAvailable')

      containers + foreign(api.get('/services').map { |item| item['Spec'] }).map { |spec| spec['Name'] }
    rescue Error => e
      raise if e.status

      []
    end

    def self.foreign(items)
      items.reject { |item| item.fetch('Labels', nil).to_h[STACK_LABEL] == OWN_STACK }
    end
    private_class_method :foreign
  end
end

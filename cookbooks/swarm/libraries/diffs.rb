require 'digest'

module Swarm
  # Pure decisions: what is, against what should be.
  module Diffs
    module_function

    # Names and both values of what differs in a network that cannot be changed in place.
    # Options and labels: what is desired must be there, the engine adds its own.
    def network(actual, desired)
      pairs = {
        'driver' => [actual['Driver'], desired['Driver']],
        'internal' => [actual['Internal'], desired['Internal']],
        'attachable' => [actual['Attachable'], desired['Attachable']],
        'subnet' => [subnets(actual), subnets(desired)],
      }
      desired['Options'].each { |key, value| pairs["option #{key}"] = [actual['Options'].to_h[key], value] }
      pairs.reject { |_, (is, wanted)| is == wanted }
    end

    def subnets(document)
      Array(document.dig('IPAM', 'Config')).map { |item| item['Subnet'] }
    end

    # New spec of a node, or nil when nothing differs. A label with value nil is taken away.
    def node_spec(spec, labels:, availability:)
      merged = spec['Labels'].to_h.merge(labels).compact
      changed = spec.merge('Labels' => merged, 'Availability' => availability || spec['Availability'])
      changed unless changed == spec.merge('Labels' => spec['Labels'].to_h)
    end

    # Versioned name of a secret: changes with the value, says nothing about it that helps to find it.
    def secret_name(name, value)
      "#{name}-#{Digest::SHA256.hexdigest("#{name}\0#{value}")[0, 8]}"
    end

    # Secrets that no service refers to, apart from the current one.
    def unused_secrets(secrets, services, current)
      used = services.flat_map { |item| Array(item.dig('Spec', 'TaskTemplate', 'ContainerSpec', 'Secrets')).map { |ref| ref['SecretID'] } }
      secrets.reject { |item| item['Spec']['Name'] == current || used.include?(item['ID']) }
    end
  end
end

require 'json'

module DockerEngine
  # The content of daemon.json.
  module Config
    PATH = '/etc/docker/daemon.json'.freeze

    module_function

    # The whole file: sorted, so that equal settings are equal bytes.
    def render(settings)
      "#{JSON.pretty_generate(sorted(settings))}\n"
    end

    def sorted(value)
      case value
      when Hash then value.sort.to_h { |key, item| [key.to_s, sorted(item)] }
      when Array then value.map { |item| sorted(item) }
      else value
      end
    end
  end
end

require 'digest'
require 'json'

module JupyterhubStack
  # Where the hub finds its settings, on the node and in its container.
  SETTINGS = '/etc/hubfleet/settings.json'.freeze
  CONFIG = '/etc/hubfleet/jupyterhub_config.py'.freeze
  STACK = '/etc/hubfleet/stack.yml'.freeze
  NAME = 'hubfleet'.freeze

  # What the controller remembers, and what it tells the hub.
  FLEET_DIR = '/var/lib/hubfleet/fleet'.freeze

  # The attributes that hub and controller read, whole: hubfleet.settings_model.ControllerView.
  CONCERNS = %w(autoscaler classes fleet hub images notebook registry storage swarm).freeze

  # Those of them that only the controller reads: they restart no hub.
  CONTROLLER_ONLY = %w(autoscaler classes).freeze

  CONFIG_TEXT = <<~PYTHON.freeze
    # Owned by Chef (cookbook jupyterhub). All settings come from the policy, see #{SETTINGS}.
    from hubfleet.hub import configure

    configure(get_config(), "#{SETTINGS}")  # noqa: F821  (JupyterHub defines get_config)
  PYTHON

  # Secrets that the hub needs, beside those of every hub, by its authenticator.
  SECRETS = %w(cookie_secret fleet_api_token proxy_token).freeze
  AUTHENTICATOR_SECRETS = {
    'dummy' => %w(login_password),
    'native' => [],
    'github' => %w(oauth_client_id oauth_client_secret),
    'oidc' => %w(oauth_client_id oauth_client_secret),
  }.freeze

  # Secrets of the controller, by what starts and ends workers.
  FLEET_SECRETS = {
    'aws' => %w(fleet_api_token fleet_key),
    'local' => %w(fleet_api_token fleet_key fleet_token),
  }.freeze

  module_function

  def secrets_for(authenticator)
    SECRETS + AUTHENTICATOR_SECRETS.fetch(authenticator)
  end

  # settings.json: attributes is a Hash or node attributes; sorted, so that equal settings are equal bytes.
  def settings(environment, attributes, concerns = CONCERNS)
    picked = concerns.to_h { |concern| [concern, attributes[concern].to_h] }
    document = DockerEngine::Config.sorted('environment' => environment, 'attributes' => picked)
    "#{JSON.pretty_generate(document)}\n"
  end

  # Changes whenever the hub has to be restarted to see its files; the proxy does not carry it.
  def digest(*texts)
    Digest::SHA256.hexdigest(texts.join("\0"))
  end

  # Name of a Swarm secret, before its version.
  def swarm_name(secret)
    "#{NAME}-#{secret}"
  end

  # A health check without curl, which the image does not hold, and without starting an interpreter
  # every few seconds. Dollar signs are doubled, as stack files want them.
  def health_command(port, path)
    request = "GET #{path} HTTP/1.0\\r\\n\\r\\n"
    "exec 3<>/dev/tcp/127.0.0.1/#{port} && printf '#{request}' >&3 && read -r _ status _ <&3 && [ \"$$status\" = 200 ]"
  end
end

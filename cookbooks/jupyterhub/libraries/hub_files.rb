require 'digest'
require 'json'

module JupyterhubStack
  # Where the hub finds its settings, on the node and in its container.
  SETTINGS = '/etc/hubfleet/settings.json'.freeze
  CONFIG = '/etc/hubfleet/jupyterhub_config.py'.freeze
  STACK = '/etc/hubfleet/stack.yml'.freeze
  NAME = 'hubfleet'.freeze

  # The attributes the hub reads, whole: hubfleet.settings_model.HubView.
  CONCERNS = %w(fleet hub images notebook registry storage swarm).freeze

  CONFIG_TEXT = <<~PYTHON.freeze
    # Owned by Chef (cookbook jupyterhub). All settings come from the policy, see #{SETTINGS}.
    from hubfleet.hub import configure

    configure(get_config(), "#{SETTINGS}")  # noqa: F821  (JupyterHub defines get_config)
  PYTHON

  # Secrets that the hub needs, beside those of every hub, by its authenticator.
  SECRETS = %w(cookie_secret proxy_token).freeze
  AUTHENTICATOR_SECRETS = {
    'dummy' => %w(login_password),
    'native' => [],
    'github' => %w(oauth_client_id oauth_client_secret),
    'oidc' => %w(oauth_client_id oauth_client_secret),
  }.freeze

  module_function

  def secrets_for(authenticator)
    SECRETS + AUTHENTICATOR_SECRETS.fetch(authenticator)
  end

  # settings.json: attributes is a Hash or node attributes; sorted, so that equal settings are equal bytes.
  def settings(environment, attributes)
    picked = CONCERNS.to_h { |concern| [concern, attributes[concern].to_h] }
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

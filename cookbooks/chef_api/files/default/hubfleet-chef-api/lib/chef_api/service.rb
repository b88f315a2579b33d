require 'json'
require 'puma'
require 'puma/configuration'
require 'puma/launcher'
require_relative 'app'
require_relative 'authentication'
require_relative 'authorization'
require_relative 'backend'
require_relative 'identities'
require_relative 'output'
require_relative 'records'
require_relative 'replays'
require_relative 'snapshots'
require_relative 'store'

module ChefApi
  # Puts the parts together from a settings file and runs them until a signal ends the process.
  #
  # The file is JSON: organization, port, data_dir, clock_skew_s, clients (a list of
  # {name, admin, validator, controller, public_key_file}: clients that exist from the start).
  class Service
    HOST = '127.0.0.1'.freeze
    # Enough while some wait for the disk: Ruby runs one at a time (docs/adr/0012).
    THREADS = 4
    # Seconds of silence in the middle of a request, which nginx sends whole.
    HALF_REQUEST_S = 5
    # Longer than nginx keeps an idle connection: the side that sends should be the one that ends it.
    IDLE_S = 75

    def initialize(settings, output: $stdout)
      @settings = settings
      @output = Output.new(output)
    end

    def self.load(path)
      new(JSON.parse(File.read(path)))
    end

    def run
      @output.sync = true
      Puma::Launcher.new(puma_configuration, log_writer: Puma::LogWriter.new(@output, @output)).run
    end

    def app
      store = Store.new(@settings.fetch('data_dir'))
      store.recover
      backend = Snapshots.new(Backend.new(store, organization), store, organization: organization, seeds: seeds)
      identities = Identities.new(store, organization)
      seed(identities)
      App.new(organization: organization, backend: backend, records: Records.new(store, organization), log: method(:log),
              authentication: authentication(identities), authorization: authorization, replays: replays)
    end

    def authentication(identities)
      Authentication.new(identities, clock_skew_s: @settings.fetch('clock_skew_s'))
    end

    def authorization
      Authorization.new
    end

    def replays
      Replays.new(File.join(@settings.fetch('data_dir'), 'signatures'), window_s: 2 * @settings.fetch('clock_skew_s'))
    end

    private

    def organization
      @settings.fetch('organization')
    end

    def seed(identities)
      seeds.each { |name, client| @output.puts "client #{name}: key installed" if identities.ensure(name, **client) }
    end

    # The clients that exist from the start, as Identities#ensure takes them.
    def seeds
      @seeds ||= @settings.fetch('clients').to_h do |client|
        [client.fetch('name'), { public_key: File.read(client.fetch('public_key_file')),
                                 admin: client.fetch('admin'), validator: client.fetch('validator'),
                                 controller: client.fetch('controller', false) }]
      end
    end

    # One line for each request: client method path status milliseconds, and why it was refused.
    def log(entry)
      @output.puts(entry[:failure] || entry.values.join(' '))
    end

    # Puma tells systemd itself when it listens (NOTIFY_SOCKET).
    def puma_configuration
      application = app
      port = @settings.fetch('port')
      Puma::Configuration.new do |config|
        config.bind "tcp://#{HOST}:#{port}"
        config.threads 1, THREADS
        config.workers 0
        config.environment 'production'
        config.quiet
        config.app application
        limits(config)
      end
    end

    def limits(config)
      config.http_content_length_limit App::MAX_BODY
      config.first_data_timeout HALF_REQUEST_S
      config.persistent_timeout IDLE_S
    end
  end
end

require_relative 'router'
require 'chef_zero/data_store/default_facade'
require 'chef_zero/server'
require 'securerandom'

module ChefApi
  # chef-zero's implementation of the Chef API over our store, without its own web server.
  class Backend
    # The defaults that chef-zero lays over an organization, without its default client: that
    # one has no key of its own and could not be deleted.
    class Defaults < ChefZero::ChefData::DefaultCreator
      protected

      def list_org_default(path)
        names = super
        names && path[2..] == ['clients'] ? names - [default_client(path)] : names
      end

      def get_org_default(path)
        path[2..] == ['clients', default_client(path)] ? nil : super
      end

      private

      def default_client(path)
        "#{path[1]}-validator"
      end
    end

    # Creation of clients as API version 1 means it: chef-zero drops the public key that is sent.
    class Clients < ChefZero::Endpoints::ActorsEndpoint
      def post(request)
        document = parse_json(request.body)
        return super if request.api_v0? || document['public_key'].nil?

        created = ChefZero::Endpoints::RestListEndpoint.instance_method(:post).bind_call(self, request)
        created.first == 201 ? json_response(201, parse_json(created.last).merge('chef_key' => key(request, document))) : created
      end

      private

      def key(request, document)
        {
          'name' => 'default',
          'public_key' => document['public_key'],
          'expiration_date' => 'infinity',
          'uri' => build_uri(request.base_uri, request.rest_path + [document['name'], 'keys', 'default']),
        }
      end
    end

    # Numbers of uploads that no earlier process gave out: chef-zero starts at 1 each time, and would
    # refuse an upload while one from before the restart is open.
    class Sandboxes < ChefZero::Endpoints::SandboxesEndpoint
      def initialize(server)
        super
        @next_id = SecureRandom.random_number(2**64)
      end
    end

    # A cookbook whose files are all there: chef-zero stores any, and what another cookbook's deletion has
    # swept away since the upload would be missing for ever.
    class CookbookArtifact < ChefZero::Endpoints::CookbookArtifactIdentifierEndpoint
      def put(request)
        store = request.rest_path[0..1] + %w(file_store checksums)
        missing = get_checksums(request.body).reject { |checksum| exists_data?(request, store + [checksum]) }
        return super if missing.empty?

        error(400, "Manifest has a checksum that hasn't been uploaded: #{missing.join(', ')}")
      end
    end

    # chef-zero with our endpoints in front of its own.
    class Server < ChefZero::Server
      def router
        Router.new(endpoints)
      end

      private

      def endpoints
        [
          ['/organizations/*/clients', Clients.new(self)],
          ['/organizations/*/cookbook_artifacts/*/*', CookbookArtifact.new(self)],
          ['/organizations/*/sandboxes', Sandboxes.new(self)],
          *super,
        ]
      end
    end

    # chef-zero's facade with our defaults.
    class Facade < ChefZero::DataStore::DefaultFacade
      def initialize(store)
        super(store, nil, false)
        @default_creator = Defaults.new(self, nil, false)
      end
    end

    def initialize(store, organization)
      store.create_dir(['organizations'], organization, :recursive)
      server = Server.new(single_org: false, data_store: Facade.new(store), generate_real_keys: true, log_level: :fatal)
      @router = server.router
    end

    # Answers a Rack environment.
    def call(env)
      @router.answer(env)
    end
  end
end

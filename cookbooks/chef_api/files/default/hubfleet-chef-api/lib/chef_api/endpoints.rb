require 'chef_zero/server'
require 'securerandom'
require 'timeout'

module ChefApi
  # Parts of chef-zero that we answer otherwise, each for the reason that it gives.
  module Endpoints
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

    # A client adds keys by itself: their number has an end.
    class Keys < ChefZero::Endpoints::ActorKeysEndpoint
      LIMIT = 5

      def post(request)
        return super if list_data_or_else(request, data_path(request), []).size < LIMIT

        error(409, "a client has at most #{LIMIT} keys besides the default one: delete one first")
      end
    end

    # chef-zero stores what is sent instead of what it would change, and answers with an error.
    module ChangedKey
      private

      def changed(key, document)
        pair = server.gen_key_pair if document['create_key'] && document['public_key'].nil?
        sent = document.slice('public_key', 'expiration_date').compact
        [key.merge(sent, pair ? { 'public_key' => pair.last } : {}), pair ? { 'private_key' => pair.first } : {}]
      end
    end

    # A key besides the default one.
    class Key < ChefZero::Endpoints::ActorKeyEndpoint
      include ChangedKey

      def put(request)
        validate_actor!(request)
        key, secret = changed(parse_json(get_data(request, data_path(request))), parse_json(request.body))
        set_data(request, data_path(request), to_json(key))
        json_response(200, key.merge(secret))
      end
    end

    # The key that is kept with its client; chef-zero deletes one that is not there.
    class DefaultKey < ChefZero::Endpoints::ActorDefaultKeyEndpoint
      include ChangedKey

      def put(request)
        actor = get_actor_data(request)
        key, secret = changed(default_public_key_from_actor(actor), parse_json(request.body))
        set_data(request, actor_path(request), to_json(actor.merge('public_key' => key['public_key'])))
        json_response(200, key.merge(secret))
      end

      def delete(request)
        return super if get_actor_data(request)['public_key']

        error(404, 'the client has no default key')
      end
    end

    # chef-zero names a key of its own, whose private half everybody has, where there is none.
    class Principal < ChefZero::Endpoints::PrincipalEndpoint
      def get(request)
        client = get_data(request, request.rest_path[0..1] + ['clients', request.rest_path.last], :nil)
        client && parse_json(client)['public_key'] ? super : error(404, 'no such client, or none with a default key')
      end
    end

    # chef-zero returns nothing from the second page on, and fails on queries that it cannot read.
    # A pattern of many wildcards could keep it busy for years.
    class Search < ChefZero::Endpoints::SearchEndpoint
      LIMIT_S = 10
      NUMBER = /\A\d{1,9}\z/

      private

      def search(request, orgname = nil)
        start, rows = %w(start rows).map { |name| number(request.query_params.delete(name)) }
        found = Timeout.timeout(LIMIT_S) { super }
        found.merge('start' => start || 0, 'rows' => found['rows'].drop(start || 0).first(rows || found['rows'].size))
      rescue Timeout::Error
        raise ChefZero::RestErrorResponse.new(400, "the search took longer than #{LIMIT_S} s: use fewer wildcards")
      rescue RuntimeError, ArgumentError, RegexpError => e
        raise ChefZero::RestErrorResponse.new(400, "invalid search: #{e.message.lines.first}")
      end

      def number(text)
        return if text.nil?
        raise ArgumentError, 'start and rows are numbers' unless NUMBER.match?(text)

        Integer(text, 10)
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

    # Numbers of uploads that no earlier process gave out: chef-zero starts at 1 each time, and would
    # refuse an upload while one from before the restart is open.
    class Sandboxes < ChefZero::Endpoints::SandboxesEndpoint
      def initialize(server)
        super
        @next_id = SecureRandom.random_number(2**64)
      end
    end

    ROUTES = {
      '/organizations/*/clients' => Clients,
      '/organizations/*/clients/*/keys' => Keys,
      '/organizations/*/clients/*/keys/default' => DefaultKey,
      '/organizations/*/clients/*/keys/*' => Key,
      '/organizations/*/cookbook_artifacts/*/*' => CookbookArtifact,
      '/organizations/*/principals/*' => Principal,
      '/organizations/*/sandboxes' => Sandboxes,
      '/organizations/*/search/*' => Search,
    }.freeze
  end
end

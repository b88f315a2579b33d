require 'chef_zero/data_store/default_facade'
require 'chef_zero/server'
require_relative 'endpoints'
require_relative 'router'

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

    # chef-zero with our endpoints in front of its own.
    class Server < ChefZero::Server
      def router
        Router.new(endpoints)
      end

      private

      def endpoints
        [
          *Endpoints::ROUTES.map { |route, endpoint| [route, endpoint.new(self)] },
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

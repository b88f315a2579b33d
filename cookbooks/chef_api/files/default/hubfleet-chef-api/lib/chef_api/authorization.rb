require_relative 'errors'

module ChefApi
  # Who may do what, as a table. What no row allows is refused with 403.
  #
  # A row: kind of client, verbs, path below the organization, and a condition on the request
  # (a method of Conditions) where the path alone does not tell. In a path `*` is any one
  # segment, `**` any number of them, `:self` the name of the client that asks.
  # HEAD counts as GET.
  class Authorization
    Row = Struct.new(:kind, :verbs, :path, :condition) do
      def allows?(request)
        kind == request.identity.kind && verbs.include?(request.verb) && matches?(request) &&
          (condition.nil? || Conditions.public_send(condition, request))
      end

      private

      def matches?(request)
        wanted = path.split('/')
        given = request.path
        return false unless wanted.last == '**' ? given.size >= wanted.size - 1 : given.size == wanted.size

        wanted.zip(given).all? do |want, have|
          want == '*' || want == '**' || have == (want == ':self' ? request.identity.name : want)
        end
      end
    end

    # What the rows look at. path: segments below the organization; document: the parsed body,
    # nil where there is none.
    Request = Struct.new(:identity, :verb, :path, :document, keyword_init: true)

    # Conditions on the document of a request.
    module Conditions
      module_function

      # A new client that is neither a validator nor an administrator.
      def plain_client?(request)
        [nil, false].include?(request.document['validator']) && [nil, false].include?(request.document['admin'])
      end

      # The document is about the client that asks: its node has its own name.
      def about_itself?(request)
        request.document['name'] == request.identity.name
      end
    end

    def self.row(kind, verbs, path, condition = nil)
      Row.new(kind, verbs.split, path, condition).freeze
    end
    private_class_method :row

    TABLE = [
      row(:admin, 'GET POST PUT DELETE', '**'),

      row(:validator, 'POST', 'clients', :plain_client?),

      # What chef-client needs to converge from a policy, and to find other nodes.
      row(:client, 'GET', 'clients/:self'),
      row(:client, 'GET', 'nodes'),
      row(:client, 'GET', 'nodes/*'),
      row(:client, 'POST', 'nodes', :about_itself?),
      row(:client, 'PUT', 'nodes/:self', :about_itself?),
      row(:client, 'GET', 'policies/**'),
      row(:client, 'GET', 'policy_groups/**'),
      row(:client, 'GET', 'cookbook_artifacts/**'),
      row(:client, 'GET', 'file_store/checksums/*'),
      row(:client, 'GET POST', 'search/*'),

      # Not served: the answer is 404, which makes chef-client go on without; 403 would be reported.
      row(:client, 'GET', 'required_recipe'),
      row(:client, 'POST', 'data-collector'),
      row(:client, 'POST', 'reports/nodes/:self/runs'),
    ].freeze

    def initialize(table = TABLE)
      @table = table
    end

    # Raises Refused unless a row allows the request.
    def call(request)
      return if @table.any? { |row| row.allows?(request) }

      raise Refused.new(403, "#{request.identity.kind} '#{request.identity.name}' may not #{request.verb} #{request.path.join('/')}")
    end
  end
end

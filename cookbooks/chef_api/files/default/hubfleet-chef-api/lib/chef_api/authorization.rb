require_relative 'conditions'
require_relative 'errors'

module ChefApi
  # Who may do what, as a table: one row for each route of the API below the organization.
  #
  # A row holds, for each kind of client, the verbs that it may use, each with a condition
  # (Conditions) where the path alone does not tell. In a path `*` is any one segment and `:self` the
  # name of the client that asks. The first row that has the path and speaks of the kind decides.
  # HEAD counts as GET. What no row allows is refused with 403; only an administrator learns
  # whether a route exists (404) and which verbs it has (405).
  class Authorization
    # What conditions look at. path: segments below the organization; document: the parsed body,
    # nil where there is none; current: answers the parsed object at the path as it is now, or nil;
    # find: the same for any path.
    Request = Struct.new(:identity, :verb, :path, :document, :current, :find, keyword_init: true) do
      # Whether it changes anything if it is made again: searches only read, a file is named by the sum
      # of its content, and a part of an archive by its place in it.
      def write?
        verb != 'GET' && !%w(search file_store).include?(path.first) && path.first(2) != %w(_snapshot parts)
      end
    end

    # rights: kind => { verb => name of a condition, or nil }.
    Row = Struct.new(:path, :rights) do
      def matches?(request)
        segments.size == request.path.size && segments.zip(request.path).all? do |want, have|
          want == '*' || have == (want == ':self' ? request.identity.name : want)
        end
      end

      def segments
        @segments ||= path.split('/').freeze
      end
    end

    def self.row(path, **rights)
      Row.new(path, rights.transform_values { |verbs| verbs.is_a?(Hash) ? verbs : verbs.split.to_h { |verb| [verb, nil] } })
    end

    # (*): stricter than the defaults of Chef Infra Server. chef-client needs none of what is missing.
    TABLE = [
      # Identities and their keys. A validator does one thing; (*) a client reads itself only, and
      # neither changes nor deletes itself: it cannot become an administrator.
      row('clients', admin: 'GET POST', validator: { 'POST' => :plain_client }, controller: 'GET'),
      row('clients/:self', client: 'GET'),
      row('clients/*', admin: 'GET PUT DELETE', controller: { 'DELETE' => :of_a_worker }),
      row('clients/:self/keys', client: { 'GET' => nil, 'POST' => :brings_public_key }),
      row('clients/*/keys', admin: 'GET POST'),
      row('clients/:self/keys/*', client: { 'GET' => nil, 'PUT' => :replaces_another_key, 'DELETE' => :another_key }),
      row('clients/*/keys/*', admin: 'GET PUT DELETE'),
      row('principals/*', admin: 'GET'), # (*)

      # A node writes itself only. (*) It has its client's name, stays with its policy, stays.
      row('nodes', admin: 'GET POST', client: { 'GET' => nil, 'POST' => :named_as_client }, controller: 'GET'),
      row('nodes/:self', client: { 'GET' => nil, 'PUT' => :keeps_its_policy }),
      row('nodes/*', admin: 'GET PUT DELETE', client: 'GET', controller: { 'GET' => nil, 'DELETE' => :of_a_worker }),
      row('nodes/*/_identifiers', admin: 'GET'),

      # What a converge reads.
      row('policies', admin: 'GET', client: 'GET'),
      row('policies/*', admin: 'GET DELETE', client: 'GET'),
      row('policies/*/revisions', admin: 'POST'),
      row('policies/*/revisions/*', admin: 'GET DELETE', client: 'GET'),
      row('policy_groups', admin: 'GET', client: 'GET'),
      row('policy_groups/*', admin: 'GET DELETE', client: 'GET'),
      row('policy_groups/*/policies/*', admin: 'GET PUT DELETE', client: 'GET'),
      row('cookbook_artifacts', admin: 'GET', client: 'GET'),
      row('cookbook_artifacts/*', admin: 'GET', client: 'GET'),
      row('cookbook_artifacts/*/*', admin: 'GET PUT DELETE', client: 'GET'),
      row('file_store/checksums/*', admin: 'GET PUT', client: 'GET'),
      row('sandboxes', admin: 'POST'),
      row('sandboxes/*', admin: 'PUT'),
      row('search', admin: 'GET'),
      row('search/node', admin: 'GET POST', client: 'GET POST', controller: 'GET POST'),
      row('search/*', admin: 'GET POST'), # (*) other indexes hold clients and data bags

      # (*) Secrets are kept elsewhere, and so is whatever looks like one.
      row('data', admin: 'GET POST'),
      row('data/*', admin: 'GET POST DELETE'),
      row('data/*/*', admin: 'GET PUT DELETE'),

      # Run lists without policies.
      row('roles', admin: 'GET POST', client: 'GET'),
      row('roles/*', admin: 'GET PUT DELETE', client: 'GET'),
      row('roles/*/environments', admin: 'GET', client: 'GET'),
      row('roles/*/environments/*', admin: 'GET', client: 'GET'),
      row('environments', admin: 'GET POST', client: 'GET'),
      row('environments/*', admin: 'GET PUT DELETE', client: 'GET'),
      row('environments/*/cookbooks', admin: 'GET', client: 'GET'),
      row('environments/*/cookbooks/*', admin: 'GET', client: 'GET'),
      row('environments/*/cookbook_versions', admin: 'POST', client: 'POST'),
      row('environments/*/nodes', admin: 'GET', client: 'GET'),
      row('environments/*/recipes', admin: 'GET', client: 'GET'),
      row('environments/*/roles/*', admin: 'GET', client: 'GET'),
      row('cookbooks', admin: 'GET', client: 'GET'),
      row('cookbooks/*', admin: 'GET', client: 'GET'),
      row('cookbooks/*/*', admin: 'GET PUT DELETE', client: 'GET'),
      row('universe', admin: 'GET'),
      row('controls', admin: 'GET POST'),

      # To be read only: rights are this table and there are no users, so a change that is accepted
      # would be believed. (*) for a node's own _acl.
      row('', admin: 'GET'),
      row('users', admin: 'GET'),
      row('users/*', admin: 'GET'),
      row('users/*/keys', admin: 'GET'),
      row('users/*/keys/*', admin: 'GET'),
      row('association_requests', admin: 'GET'),
      row('containers', admin: 'GET'),
      row('containers/*', admin: 'GET'),
      row('groups', admin: 'GET'),
      row('groups/*', admin: 'GET'),
      row('organization/_acl', admin: 'GET'),
      row('organizations/_acl', admin: 'GET'),
      row('*/*/_acl', admin: 'GET'),

      # Ours: backup and restore.
      row('_snapshot', admin: 'GET PUT'),
      row('_snapshot/parts/*', admin: 'PUT'),

      # Not served: 404 makes chef-client go on without, where 403 would be reported.
      row('required_recipe', admin: 'GET', client: 'GET'),
      row('data-collector', admin: 'POST', client: 'POST'),
      row('reports/nodes/:self/runs', client: 'POST'),
      row('reports/nodes/*/runs', admin: 'POST'),
    ].freeze

    def initialize(table = TABLE)
      @table = table
    end

    # Raises Refused unless a row allows the request.
    def call(request)
      rights = @table.find { |row| row.rights.key?(request.identity.kind) && row.matches?(request) }&.rights
      verbs = rights && rights[request.identity.kind]
      return refuse(request, verbs) unless verbs&.key?(request.verb)

      condition = verbs[request.verb]
      return if condition.nil? || Conditions.public_send(condition, request)

      raise Refused.new(403, "#{words(request)}: #{Conditions::REASONS.fetch(condition)}")
    end

    private

    def refuse(request, verbs)
      raise Refused.new(403, words(request)) unless request.identity.kind == :admin
      raise Refused.new(404, "no such route: #{request.path.join('/')}") if verbs.nil?

      raise Refused.new(405, "#{request.path.join('/')} answers #{verbs.keys.join(', ')} only")
    end

    def words(request)
      "#{request.identity.kind} '#{request.identity.name}' may not #{request.verb} #{request.path.join('/')}"
    end
  end
end

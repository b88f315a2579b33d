module ChefApi
  # What a right depends on besides kind of client, verb and path: predicates on a request
  # (Authorization::Request), named in the table of Authorization.
  module Conditions
    # What a refusal adds.
    REASONS = {
      plain_client: 'it creates clients that are neither administrators, validators nor the controller',
      of_a_worker: 'it deletes workers that are gone, and nothing else',
      brings_public_key: 'send public_key: a private key is made where it is used',
      another_key: 'a key is not deleted by a request that it signs; sign with another one',
      replaces_another_key: 'a key is not changed by a request that it signs, and public_key is needed; sign with another one',
      named_as_client: 'a node has the name of its client',
      keeps_its_policy: 'a node keeps its name, policy_name and policy_group; an administrator moves it ' \
                        '(knife node policy set), or deletes the node object so that it can choose anew',
    }.freeze
    POLICY = %w(policy_name policy_group).freeze
    INSTANCE_ID = /\Ai-[0-9a-f]{8,17}\z/
    WORKER = 'swarm_worker'.freeze

    module_function

    def plain_client(request)
      %w(admin validator controller).all? { |right| [nil, false].include?(request.document[right]) }
    end

    # Machines are named by instance ids, the clients of people and programs are not. A machine that has
    # saved no node yet is none that anybody relies on.
    def of_a_worker(request)
      name = request.path.last
      node = request.find.call(['nodes', name])
      INSTANCE_ID.match?(name) && (node.nil? || node['policy_name'] == WORKER)
    end

    def brings_public_key(request)
      request.document['public_key'].is_a?(String)
    end

    def another_key(request)
      !request.identity.signed_by.include?(request.path.last)
    end

    def replaces_another_key(request)
      another_key(request) && brings_public_key(request)
    end

    def named_as_client(request)
      request.document['name'] == request.identity.name
    end

    # chef-client sends both fields with every save.
    def keeps_its_policy(request)
      return false unless named_as_client(request)

      now = request.current.call || {}
      POLICY.all? { |field| now[field].nil? || now[field] == request.document[field] }
    end
  end
end

require_relative 'helper'

describe ChefApi::Authorization, :scratch do
  # One row for each cell: client, verb, path, document, expected answer.
  CELLS = [
    ['operator', 'GET', 'clients', nil, 200],
    ['operator', 'POST', 'clients', { name: 'second', admin: true }, 201],
    ['operator', 'POST', 'clients', { name: 'other-bootstrap', validator: true }, 201],
    ['operator', 'GET', 'clients/node-a', nil, 200],
    ['operator', 'DELETE', 'clients/node-b', nil, 200],
    ['operator', 'DELETE', 'nodes/node-b', nil, 200],
    ['operator', 'GET', 'groups', nil, 200],
    ['operator', 'PUT', 'policy_groups/local/policies/hub', { name: 'hub', revision_id: '1', run_list: ['recipe[a::default]'], cookbook_locks: {} }, 201],
    ['operator', 'GET', '/organizations', nil, 404],
    ['operator', 'GET', '/organizations/other/clients', nil, 404],

    ['bootstrap', 'POST', 'clients', { name: 'fresh', public_key: :own }, 201],
    ['bootstrap', 'POST', 'clients', { name: 'fresh', admin: false, validator: false }, 201],
    ['bootstrap', 'POST', 'clients', { name: 'fresh', validator: true }, 403],
    ['bootstrap', 'POST', 'clients', { name: 'fresh', admin: true }, 403],
    ['bootstrap', 'POST', 'clients', { name: 'fresh', admin: 'true' }, 403],
    ['bootstrap', 'POST', 'clients', { name: 'node-a' }, 409],
    ['bootstrap', 'GET', 'clients', nil, 403],
    ['bootstrap', 'GET', 'clients/bootstrap', nil, 403],
    ['bootstrap', 'PUT', 'clients/node-a', { name: 'node-a', public_key: :own }, 403],
    ['bootstrap', 'DELETE', 'clients/node-a', nil, 403],
    ['bootstrap', 'POST', 'nodes', { name: 'bootstrap' }, 403],
    ['bootstrap', 'GET', 'nodes', nil, 403],
    ['bootstrap', 'GET', 'search/node', nil, 403],
    ['bootstrap', 'GET', 'policies', nil, 403],
    ['bootstrap', 'GET', 'data', nil, 403],
    ['bootstrap', 'POST', 'clients/node-a/keys', { name: 'x', public_key: :own }, 403],

    ['bootstrap', 'POST', 'clients', { name: 'fresh', controller: true }, 403],

    ['fleet', 'GET', 'nodes', nil, 200],
    ['fleet', 'GET', 'clients', nil, 200],
    ['fleet', 'GET', 'search/node', nil, 200],
    ['fleet', 'DELETE', 'nodes/node-a', nil, 403],
    ['fleet', 'DELETE', 'clients/node-a', nil, 403],
    ['fleet', 'DELETE', 'clients/operator', nil, 403],
    ['fleet', 'DELETE', 'clients/i-0123456789abcdef0', nil, 404],
    ['fleet', 'DELETE', 'nodes/i-0123456789abcdef0', nil, 404],
    ['fleet', 'POST', 'clients', { name: 'fresh' }, 403],
    ['fleet', 'PUT', 'nodes/node-a', { name: 'node-a' }, 403],
    ['fleet', 'POST', 'clients/fleet/keys', { name: 'x', public_key: :own }, 403],
    ['fleet', 'GET', 'policies', nil, 403],

    ['node-a', 'GET', 'clients/node-a', nil, 200],
    ['node-a', 'GET', 'clients/node-b', nil, 403],
    ['node-a', 'GET', 'clients', nil, 403],
    ['node-a', 'POST', 'clients', { name: 'fresh' }, 403],
    ['node-a', 'PUT', 'clients/node-a', { name: 'node-a', admin: true }, 403],
    ['node-a', 'PUT', 'clients/node-a/keys/default', { name: 'default', public_key: :own }, 403],
    ['node-a', 'DELETE', 'clients/node-a', nil, 403],
    ['node-a', 'GET', 'nodes', nil, 200],
    ['node-a', 'HEAD', 'nodes/node-b', nil, 200],
    ['node-a', 'GET', 'nodes/node-b', nil, 200],
    ['node-a', 'PUT', 'nodes/node-a', { name: 'node-a', run_list: [] }, 200],
    ['node-a', 'PUT', 'nodes/node-a', { name: 'node-c', run_list: [] }, 403],
    ['node-a', 'PUT', 'nodes/node-a', { run_list: [] }, 403],
    ['node-a', 'PUT', 'nodes/node-b', { name: 'node-b' }, 403],
    ['node-a', 'PUT', 'nodes/node-b', { name: 'node-a' }, 403],
    ['node-a', 'PUT', 'nodes/node%2Da', { name: 'node-a' }, 200],
    ['node-a', 'PUT', 'nodes/node%2Db', { name: 'node-a' }, 403],
    ['node-a', 'PUT', 'nodes/node-a%2F..%2Fnode-b', { name: 'node-a' }, 400],
    ['node-a', 'PUT', 'nodes/../clients/node-b', { name: 'node-a' }, 400],
    ['node-a', 'POST', 'nodes', { name: 'node-a' }, 409],
    ['node-a', 'POST', 'nodes', { name: 'node-c' }, 403],
    ['node-a', 'DELETE', 'nodes/node-a', nil, 403],
    ['node-a', 'GET', 'policies', nil, 200],
    ['node-a', 'GET', 'policies/hub/revisions/1', nil, 404],
    ['node-a', 'GET', 'policy_groups/local/policies/hub', nil, 404],
    ['node-a', 'PUT', 'policy_groups/local/policies/hub', { name: 'hub' }, 403],
    ['node-a', 'DELETE', 'policies/hub', nil, 403],
    ['node-a', 'GET', 'cookbook_artifacts/a/1', nil, 404],
    ['node-a', 'PUT', 'cookbook_artifacts/a/1', { name: 'a' }, 403],
    ['node-a', 'GET', 'file_store/checksums/abc', nil, 404],
    ['node-a', 'PUT', 'file_store/checksums/d41d8cd98f00b204e9800998ecf8427e', '', 403],
    ['node-a', 'POST', 'sandboxes', { checksums: {} }, 403],
    ['node-a', 'GET', 'search/node', nil, 200],
    ['node-a', 'POST', 'search/node', { name: ['name'] }, 200],
    ['node-a', 'GET', 'required_recipe', nil, 404],
    ['node-a', 'GET', 'data', nil, 403],
    ['node-a', 'GET', 'data/secrets/one', nil, 403],
    ['node-a', 'POST', 'data', { name: 'bag' }, 403],
    ['node-a', 'GET', 'groups', nil, 403],
    ['node-a', 'PUT', 'groups/admins', { groupname: 'admins' }, 403],
    ['node-a', 'GET', 'nodes/node-a/_acl', nil, 403],
    ['node-a', 'PUT', 'nodes/node-a/_acl/read', {}, 403],
    ['node-a', 'GET', 'users', nil, 403],
    ['node-a', 'GET', '/users', nil, 404],
    ['node-a', 'GET', 'nothing', nil, 403],
    ['node-a', 'PATCH', 'nodes/node-a', { name: 'node-a' }, 403],
  ].freeze

  let(:api) do
    start_api(@directory).tap do |api|
      %w(node-a node-b).each do |name|
        create_client(api, name)
        ask(api, name, 'POST', 'nodes', { name: name })
      end
    end
  end

  CELLS.each do |client, verb, path, document, expected|
    it "answers #{expected} to #{client}: #{verb} #{path} #{document&.to_json}" do
      document = document.transform_values { |value| value == :own ? ApiHelper::KEYS[client].public_key.to_pem : value } if document.is_a?(Hash)
      response = ask(api, client, verb, path, document)
      expect([response.status, response.body]).to match([expected, anything])
    end
  end

  it 'gives the ghost client of chef-zero no place and no key' do
    names = JSON.parse(ask(api, 'operator', 'GET', 'clients').body).keys
    expect(names).to contain_exactly('operator', 'bootstrap', 'fleet', 'node-a', 'node-b')
  end

  it 'leaves a node as it was when it refuses' do
    ask(api, 'node-a', 'PUT', 'nodes/node-b', { name: 'node-b', normal: { stolen: true } })
    expect(JSON.parse(ask(api, 'operator', 'GET', 'nodes/node-b').body)['normal']).not_to include('stolen')
  end
end

require_relative '../../../spec/cookbooks_helper'
require_relative '../../docker_engine/spec/fake_engine'
require_relative '../../node_base/libraries/secrets'

# A converge against an engine that answers from `answers`.
RSpec.shared_context 'an engine' do
  platform 'debian', '13'
  step_into :swarm_manager, :swarm_member, :swarm_node, :swarm_network, :swarm_secret, :swarm_join_token, :swarm_stack

  let(:answers) { {} }
  let(:api) { FakeEngine.new(answers) }

  before { allow(DockerEngine::Api).to receive(:new).and_return(api) }

  def swarm(state, **more)
    { 'Swarm' => { 'LocalNodeState' => state, 'NodeID' => 'n1' }.merge(more.transform_keys(&:to_s)) }
  end

  # The message of the error that ends the run, nil when none does.
  def failure
    chef_run
    nil
  rescue StandardError => e
    e.message
  end
end

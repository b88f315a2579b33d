require_relative 'helper'

describe ChefApi::Backend, :scratch do
  let(:api) { start_api(@directory) }

  before { create_client(api, 'worker') }

  it 'composes no log entry of a request, which takes longer than its answer' do
    composed = 0
    allow_any_instance_of(ChefZero::RestRequest).to receive(:pretty_inspect) { (composed += 1).to_s }
    expect(ask(api, 'worker', 'GET', 'nodes').status).to eq 200
    expect(composed).to eq 0
  end

  it "answers an exception of chef-zero's by 500 without its words" do
    allow_any_instance_of(ChefZero::Endpoints::RestListEndpoint).to receive(:get).and_raise('secret words')
    response = ask(api, 'worker', 'GET', 'nodes')
    expect([response.status, response.body]).to match [500, /internal error/]
    expect(response.body).not_to include('secret')
  end

  it 'answers 404 where chef-zero has no route' do
    expect(ask(api, 'worker', 'GET', 'required_recipe').status).to eq 404
  end
end

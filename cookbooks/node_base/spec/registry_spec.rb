require_relative '../../../spec/cookbooks_helper'
require_relative '../libraries/registry'

describe Hubfleet::Registry do
  let(:node) do
    {
      'fleet' => { 'backend' => backend, 'zone' => 'hubfleet.internal' },
      'images' => { 'notebook' => { 'repository' => 'hubfleet/notebook', 'tag' => '0123456789ab' } },
    }
  end
  let(:facts) { { 'registry' => '000000000000.dkr.ecr.xx-test-1.amazonaws.com/hubfleet-production' } }

  before do
    allow(File).to receive(:read).and_call_original
    allow(File).to receive(:read).with(described_class::FACTS) { JSON.generate(facts) }
  end

  context "with the deployment's own registry" do
    let(:backend) { 'local' }

    it 'goes by the zone' do
      expect(described_class.reference(node, 'notebook')).to eq('registry.hubfleet.internal/hubfleet/notebook:0123456789ab')
      expect(described_class.host(node)).to eq('registry.hubfleet.internal')
    end
  end

  context 'on AWS' do
    let(:backend) { 'aws' }

    it 'goes by what user-data names' do
      expect(described_class.reference(node, 'notebook'))
        .to eq('000000000000.dkr.ecr.xx-test-1.amazonaws.com/hubfleet-production/hubfleet/notebook:0123456789ab')
      expect(described_class.host(node)).to eq('000000000000.dkr.ecr.xx-test-1.amazonaws.com')
    end

    ['', 'registry.evil.example/x', "000000000000.dkr.ecr.xx-test-1.amazonaws.com/a\n/b"].each do |wrong|
      it "refuses #{wrong.inspect}" do
        facts['registry'] = wrong
        expect { described_class.of(node) }.to raise_error(/is no registry of ECR/)
      end
    end
  end
end

# frozen_string_literal: true

require 'chef-cli/policyfile_compiler'
require_relative '../lib/role_policy'

describe 'policyfiles' do
  Dir.glob(File.expand_path('../*.rb', __dir__)).sort.each do |file|
    name = File.basename(file, '.rb')

    it "#{name}.rb compiles to the role of its name" do
      compiler = ChefCLI::PolicyfileCompiler.evaluate(File.read(file), file)
      compiler.error!
      expect(compiler.name).to eq(name)
      expect(compiler.run_list).to eq(RoleDocuments.new(RolePolicy::ROOT).expand(name).run_list)
      expect(compiler.default_attributes.keys).to include('local', 'production', 'staging')
    end
  end
end

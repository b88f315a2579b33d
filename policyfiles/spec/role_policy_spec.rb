# frozen_string_literal: true

require 'fileutils'
require 'tmpdir'
require_relative '../lib/role_policy'

# What a Policyfile offers to RolePolicy: chef-cli's DSL, as far as it is used.
class RecordedPolicyfile
  attr_reader :default, :override, :recorded_run_list, :named

  def initialize
    @default = {}
    @override = {}
  end

  def run_list(*items)
    @recorded_run_list = items
  end

  def named_run_list(name, *items)
    @named = { name => items }
  end
end

describe RolePolicy do
  around do |example|
    Dir.mktmpdir do |root|
      @root = root
      %w(roles environments schema).each { |folder| FileUtils.cp_r(File.join(RolePolicy::ROOT, folder), root) }
      FileUtils.mkdir(File.join(root, 'images'))
      tags = %w(base node hub notebook).to_h { |name| [name, { 'tag' => "tag-of-#{name}" }] }
      write('images/lock.json', tags)
      example.run
    end
  end

  let(:policyfile) { RecordedPolicyfile.new }

  def path(file)
    File.join(@root, file)
  end

  def write(file, document)
    File.write(path(file), JSON.generate(document))
  end

  def edit(file)
    document = JSON.parse(File.read(path(file)))
    yield document
    write(file, document)
  end

  def applied(role)
    described_class.apply(policyfile, role, root: @root)
    policyfile
  end

  it 'expands nested roles first' do
    expect(applied('hub').recorded_run_list.first).to eq('recipe[node_base::default]')
    expect(policyfile.recorded_run_list).to include('recipe[swarm::manager]')
    expect(policyfile.recorded_run_list.grep(/role/)).to be_empty
  end

  it 'names what an image of the machine holds: the recipes `image` of its cookbooks' do
    %w(docker_engine notebook_worker web_tls).each do |cookbook|
      FileUtils.mkdir_p(path("cookbooks/#{cookbook}/recipes"))
      File.write(path("cookbooks/#{cookbook}/recipes/image.rb"), '')
    end
    expect(applied('swarm_worker').named).to eq('image' => %w(recipe[docker_engine::image] recipe[notebook_worker::image]))
  end

  it 'names no list where no cookbook has such a recipe' do
    expect(applied('hub').named).to be_nil
  end

  it 'lets the outer role win, value by value' do
    edit('roles/hub.json') { |role| role['default_attributes']['docker'] = { 'log_max_files' => 7 } }
    expect(applied('hub').default['docker']).to include('log_max_files' => 7, 'log_max_size' => '5m')
  end

  it 'puts environments under their names, at their level' do
    edit('environments/staging.json') { |group| group['override_attributes'] = { 'notebook' => { 'uid' => 1001 } } }
    applied('swarm_worker')
    expect(policyfile.default['local']['fleet']['backend']).to eq('local')
    expect(policyfile.override).to eq('staging' => { 'notebook' => { 'uid' => 1001 } })
  end

  it 'takes image tags from the image lock, for the images that the role names' do
    expect(applied('swarm_worker').default['images'])
      .to eq('notebook' => { 'repository' => 'hubfleet/notebook', 'tag' => 'tag-of-notebook' })
  end

  it 'sorts, whatever the order in the files' do
    expected = applied('hub').default.to_json
    edit('roles/base.json') { |role| role['default_attributes'] = role['default_attributes'].to_a.reverse.to_h }
    again = RecordedPolicyfile.new
    described_class.apply(again, 'hub', root: @root)
    expect(again.default.to_json).to eq(expected)
  end

  it 'replaces arrays' do
    edit('roles/base.json') { |role| role['default_attributes']['hub'] = { 'admin_users' => %w(ann) } }
    edit('roles/hub.json') { |role| role['default_attributes']['hub']['admin_users'] = %w(bob) }
    expect(applied('hub').default['hub']['admin_users']).to eq(%w(bob))
  end

  it 'refuses a cycle' do
    edit('roles/base.json') { |role| role['run_list'] = ['role[hub]'] }
    expect { applied('hub') }.to raise_error(RoleDocuments::Error, /cycle of roles: hub -> base -> hub/)
  end

  it 'names file, key and nearest key' do
    edit('roles/base.json') { |role| role['default_attributes']['chef_cleint'] = {} }
    expect { applied('hub') }.to raise_error(
      RoleDocuments::Error,
      "roles/base.json: default_attributes.chef_cleint: unknown key (did you mean 'chef_client'?)"
    )
  end

  it 'leaves the git checkout out of locks' do
    expect(ChefCLI::CookbookProfiler::Git.new('.').profile_data).to be_nil
  end
end

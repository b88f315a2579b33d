# Shared set-up of every cookbook's ChefSpec tests:
#   require_relative '../../../spec/cookbooks_helper'
#
# A recipe is converged with the values of the real roles and environments, so a test never
# repeats a number that a role defines:
#   runner_for('hub').converge('web_tls::default')
#
# A spec that needs Chef's own classes requires this file too, not 'chef': ChefSpec must be loaded first, or
# matchers such as create_file do not exist.
require 'chefspec'
require 'json'

# Reads roles/*.json and environments/*.json and merges them as a node of that role sees them.
module CookbooksHelper
  ROOT = File.expand_path('..', __dir__)
  PLATFORM = { platform: 'debian', version: '13' }.freeze

  module_function

  # Attributes of a role: nested roles first, then its own, then the environment on top
  # (hashes merge, everything else is replaced), and the image tags of images/lock.json.
  def role_attributes(role, environment: 'local')
    attributes = deep_merge(expand_role(role), environment_attributes(environment))
    deep_merge({ 'images' => image_attributes }, attributes)
  end

  # A ChefSpec runner for one kind of node: platform, policy and attributes set.
  # Further attributes may be changed in the block, which receives the node.
  def runner_for(role, environment: 'local', step_into: [], **options)
    ChefSpec::SoloRunner.new(**PLATFORM, step_into: Array(step_into), **options) do |node|
      node.name('i-0123456789abcdef0')
      node.policy_name = role
      node.policy_group = environment
      role_attributes(role, environment: environment).each { |key, value| node.default[key] = value }
      yield node if block_given?
    end
  end

  def expand_role(role)
    document = read_json('roles', role)
    nested = document.fetch('run_list').filter_map { |item| item[/\Arole\[(.+)\]\z/, 1] }
    nested.map { |name| expand_role(name) }
          .push(document.fetch('default_attributes', {}), document.fetch('override_attributes', {}))
          .reduce { |acc, elem| deep_merge(acc, elem) }
  end

  def environment_attributes(environment)
    document = read_json('environments', environment)
    deep_merge(document.fetch('default_attributes', {}), document.fetch('override_attributes', {}))
  end

  def image_attributes
    path = File.join(ROOT, 'images', 'lock.json')
    return {} unless File.exist?(path)

    JSON.parse(File.read(path)).to_h { |name, image| [name, { 'repository' => "hubfleet/#{name}", 'tag' => image['tag'] }] }
  end

  def read_json(directory, name)
    JSON.parse(File.read(File.join(ROOT, directory, "#{name}.json")))
  end

  def deep_merge(base, other)
    base.merge(other) do |_key, old, new|
      old.is_a?(Hash) && new.is_a?(Hash) ? deep_merge(old, new) : new
    end
  end
end

RSpec.configure do |config|
  config.include CookbooksHelper
  config.cookbook_path = File.join(CookbooksHelper::ROOT, 'cookbooks')
  config.log_level = :fatal
  config.expect_with(:rspec) { |expectations| expectations.syntax = :expect }
end

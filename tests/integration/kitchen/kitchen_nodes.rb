# frozen_string_literal: true

require 'json'
require 'open3'

# Settings of the Docker driver, from the same code that makes the nodes of a local deployment.
module KitchenNodes
  ROOT = File.expand_path('../../..', __dir__)

  # Where Kitchen finds the program that exports a policy.
  ENV['PATH'] = "#{File.join(__dir__, 'bin')}:#{ENV.fetch('PATH')}"

  module_function

  # One line of JSON, which is YAML too.
  def driver(suite)
    described.fetch(suite).to_json
  end

  def described
    @described ||= begin
      python = ENV.fetch('HUBFLEET_PYTHON', 'python3')
      output, errors, status = Open3.capture3(python, '-m', 'tests.integration.kitchen.fixture', 'describe', chdir: ROOT)
      raise "#{python} cannot describe the nodes; run Kitchen by bin/kitchen. #{errors}" unless status.success?

      JSON.parse(output)
    end
  end
end

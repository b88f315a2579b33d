# frozen_string_literal: true

require 'json'

module DockerEngine
  # Where the engine writes what containers say.
  module Logs
    FACTS = '/etc/hubfleet/aws.json'
    FORMS = { 'log_group' => %r{\A/[A-Za-z0-9_./-]{1,500}\z}, 'region' => /\A[a-z0-9-]+\z/ }.freeze

    module_function

    # The keys of daemon.json, by docker.log_driver.
    def settings(node)
      node['docker']['log_driver'] == 'awslogs' ? awslogs(node) : json_file(node)
    end

    def json_file(node)
      { 'log-driver' => 'json-file', 'log-opts' => { 'max-file' => node['docker']['log_max_files'].to_s, 'max-size' => node['docker']['log_max_size'] } }
    end

    # The machine's role may write into its role's group only (terraform/iam.tf). Where an image is made
    # there is no group yet: the machine's first converge names it.
    def awslogs(node)
      raise 'docker.log_driver awslogs needs fleet.backend aws' unless node['fleet']['backend'] == 'aws'

      facts = JSON.parse(File.read(FACTS))
      return json_file(node) unless facts.key?('log_group')

      FORMS.each { |name, form| raise "#{FACTS}: #{name} is malformed: '#{facts[name]}'" unless form.match?(facts[name].to_s) }
      {
        'log-driver' => 'awslogs',
        'log-opts' => {
          'awslogs-group' => facts['log_group'],
          'awslogs-region' => facts['region'],
          # A container must not wait for CloudWatch with what it says.
          'mode' => 'non-blocking',
          'tag' => '{{.Name}}',
        },
      }
    end
  end
end

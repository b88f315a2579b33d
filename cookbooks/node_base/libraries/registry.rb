# frozen_string_literal: true

require 'json'

module Hubfleet
  # Where a node takes container images from: the deployment's own registry, or on AWS the one that
  # user-data names (its name holds the account's number, which stands in no attribute).
  module Registry
    FACTS = '/etc/hubfleet/aws.json'
    FORM = %r{\A[0-9]{12}\.dkr\.ecr\.[a-z0-9-]+\.[a-z.]+(/[a-z0-9_-]+)+\z}

    module_function

    # Registry and prefix, without a repository.
    def of(node)
      return "registry.#{node['fleet']['zone']}" unless aws?(node)

      registry = JSON.parse(File.read(FACTS))['registry'].to_s
      raise "#{FACTS}: registry is no registry of ECR: '#{registry}'" unless FORM.match?(registry)

      registry
    end

    # The registry's host alone.
    def host(node)
      of(node).split('/').first
    end

    # Full reference of the image that the policy names.
    def reference(node, name)
      image = node['images'][name]
      "#{of(node)}/#{image['repository']}:#{image['tag']}"
    end

    def aws?(node)
      node['fleet']['backend'] == 'aws'
    end
  end
end

require 'chef/handler'
require 'time'
require_relative 'converge_outcome'

module Hubfleet
  # Report and exception handler of chef-client: leaves the outcome of the last run for whoever asks
  # what state the node is in.
  class ConvergeRecord < Chef::Handler
    # An exception can carry the whole output of a command.
    MAX_TEXT = 2000

    def initialize(outcome = ConvergeOutcome.new)
      super()
      @outcome = outcome
    end

    def report
      @outcome.write(document)
    end

    private

    def document
      names = updated_names
      {
        'status' => success? ? 'success' : 'failed',
        'policy_name' => Chef::Config[:policy_name],
        'policy_group' => Chef::Config[:policy_group],
        'policy_revision' => node && node['policy_revision'],
        'started' => start_time.utc.iso8601,
        'seconds' => ConvergeOutcome.process_age.round(1),
        'total' => records.count { |record| record.nesting_level.zero? },
        'updated' => names.size,
        'updated_resources' => names,
        'failed' => records.count { |record| record.status == :failed && record.nesting_level.zero? },
        'failed_resource' => failed_name,
        'exception' => exception && "#{exception.class}: #{exception.message}"[0, MAX_TEXT],
      }
    end

    # The resources of the recipes, not what they are made of.
    def updated_names
      records.select { |record| record.status == :updated && record.nesting_level.zero? }
             .map { |record| record.new_resource.to_s }.uniq
    end

    # From the resource in the recipe to the one inside it that failed.
    def failed_name
      failed = records.select { |record| record.status == :failed }
      failed.sort_by(&:nesting_level).map { |record| record.new_resource.to_s }.join(' > ') unless failed.empty?
    end

    # None when the run failed before its first resource.
    def records
      context = run_context
      context&.action_collection ? context.action_collection.action_records : []
    end
  end
end

require 'chef/handler'
require 'fileutils'
require 'json'
require 'securerandom'
require 'time'

module Hubfleet
  # Report and exception handler of chef-client: leaves the outcome of the last run in
  # one JSON file, replaced as a whole, for whoever asks what state the node is in.
  class ConvergeRecord < Chef::Handler
    PATH = '/var/lib/hubfleet/last-converge.json'.freeze
    # An exception can carry the whole output of a command.
    MAX_TEXT = 2000

    def initialize(path = PATH)
      super()
      @path = path
    end

    def report
      FileUtils.mkdir_p(File.dirname(@path))
      temporary = "#{@path}.#{SecureRandom.hex(6)}.tmp"
      File.open(temporary, File::WRONLY | File::CREAT | File::EXCL, 0o644) do |file|
        file.write(JSON.pretty_generate(document))
        file.fsync
      end
      File.rename(temporary, @path)
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
        'seconds' => elapsed_time.round(1),
        'updated' => names.size,
        'updated_resources' => names,
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

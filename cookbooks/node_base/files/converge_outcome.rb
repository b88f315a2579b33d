require 'etc'
require 'fileutils'
require 'json'
require 'securerandom'

module Hubfleet
  # The outcome of the last run of chef-client, in two files that are replaced as a whole: a record in
  # JSON, and metrics for the textfile collector of Prometheus' node_exporter.
  #
  # Needs nothing of Chef: a run that died before Chef's handlers is recorded by a program of its own.
  class ConvergeOutcome
    RECORD = '/var/lib/hubfleet/last-converge.json'.freeze
    METRICS = '/var/lib/hubfleet/metrics/converge.prom'.freeze
    BOOT_ID = '/proc/sys/kernel/random/boot_id'.freeze
    TICKS_PER_SECOND = Etc.sysconf(Etc::SC_CLK_TCK)

    # Seconds since this process began, by a clock that nobody sets (proc(5): field 22 of stat, which
    # counts from the boot; the name in field 2 may hold blanks).
    def self.process_age
      started = File.read('/proc/self/stat').rpartition(')').last.split[19].to_f / TICKS_PER_SECOND
      Process.clock_gettime(Process::CLOCK_BOOTTIME) - started
    end

    def initialize(record: RECORD, metrics: METRICS, environment: ENV)
      @record = record
      @metrics = metrics
      @environment = environment
    end

    # document: what the run was. Adds when it ended, which systemd start it belongs to, and when the
    # last good one ended: by the wall clock, and by the uptime of this boot for whoever distrusts that.
    def write(document)
      now = { 'timestamp' => Time.now.to_i, 'boot_id' => File.read(BOOT_ID).strip,
              'uptime_s' => Process.clock_gettime(Process::CLOCK_BOOTTIME).round }
      whole = document.merge('ended' => now, 'invocation' => @environment['INVOCATION_ID'],
                             'last_success' => document['status'] == 'success' ? now : previous['last_success'])
      replace(@record, JSON.pretty_generate(whole))
      replace(@metrics, metrics(whole))
    end

    # Whether the run that systemd has just ended has left its record.
    def recorded?
      invocation = @environment['INVOCATION_ID']
      !invocation.nil? && previous['invocation'] == invocation
    end

    # The record of a run that left none: what it would have been is known from the run before.
    def write_missing
      result = @environment.values_at('SERVICE_RESULT', 'EXIT_STATUS').compact.join(' ')
      write(previous.slice('policy_name', 'policy_group', 'policy_revision').merge(
              'status' => 'failed', 'started' => nil, 'seconds' => 0.0, 'total' => 0, 'updated' => 0, 'updated_resources' => [],
              'failed' => 0, 'failed_resource' => nil, 'exception' => "chef-client ended before it could report (#{result}): see journalctl -u chef-client"
            ))
    end

    private

    def previous
      found = JSON.parse(File.read(@record))
      found.is_a?(Hash) ? found : {}
    rescue SystemCallError, JSON::ParserError
      {}
    end

    def metrics(document)
      samples(document).map do |name, (help, values)|
        full = "hubfleet_converge_#{name}"
        lines = values.map { |labels, value| "#{full}#{labels} #{value}\n" }
        "# HELP #{full} #{help}\n# TYPE #{full} gauge\n#{lines.join}"
      end.join
    end

    # What never was is left out: a zero would be a time in 1970.
    def samples(document)
      states = { 'total' => document['total'], 'updated' => document['updated'], 'failed' => document['failed'] }
      good = document['last_success']
      {
        'last_run_timestamp_seconds' => ['When the last run ended.', { '' => document['ended']['timestamp'] }],
        'last_success_timestamp_seconds' => ['When the last successful run ended.', good ? { '' => good['timestamp'] } : {}],
        'success' => ['Whether the last run succeeded.', { '' => document['status'] == 'success' ? 1 : 0 }],
        'duration_seconds' => ['How long the last run took.', { '' => document['seconds'] }],
        'resources' => ['Resources of the last run.', states.to_h { |state, number| [labels('state' => state), number] }],
        'info' => ['What the node is converged to.', { labels(
          'policy_name' => document['policy_name'], 'policy_group' => document['policy_group'], 'revision' => document['policy_revision']
        ) => 1 }],
      }.reject { |_name, (_help, values)| values.empty? }
    end

    def labels(pairs)
      inner = pairs.map { |name, value| %(#{name}="#{value.to_s.gsub(/["\\\n]/) { |found| found == "\n" ? '\\n' : "\\#{found}" }}") }
      "{#{inner.join(',')}}"
    end

    def replace(path, text)
      FileUtils.mkdir_p(File.dirname(path))
      temporary = "#{path}.#{SecureRandom.hex(6)}.tmp"
      File.open(temporary, File::WRONLY | File::CREAT | File::EXCL, 0o644) do |file|
        file.write(text)
        file.fsync
      end
      File.rename(temporary, path)
    end
  end
end

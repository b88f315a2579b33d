require 'mixlib/shellout'

module Hubfleet
  # The state of one systemd unit, read when asked.
  class Unit
    def initialize(name)
      @name = name
    end

    # Whether the unit runs and one of the files was written after its last start or reload.
    # Restarting on this, instead of on a notification, survives a run that dies in between.
    def older_than?(paths)
      changed = paths.filter_map { |path| File.mtime(path) if File.file?(path) }.max
      since = active_since
      !since.nil? && !changed.nil? && changed > since
    end

    # Time of the last start or reload; nil when the unit does not run.
    def active_since
      state = properties
      return unless state['ActiveState'] == 'active'

      age = Process.clock_gettime(Process::CLOCK_MONOTONIC) - state.fetch('StateChangeTimestampMonotonic').to_i / 1e6
      Time.now - age
    end

    private

    def properties
      argv = ['systemctl', 'show', @name, '--property=ActiveState,StateChangeTimestampMonotonic']
      Mixlib::ShellOut.new(*argv, timeout: 30).run_command.tap(&:error!).stdout.lines.to_h { |line| line.chomp.split('=', 2) }
    end
  end
end

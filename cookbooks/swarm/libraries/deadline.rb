module Swarm
  # Looks again and again until something is so, for a limited time.
  class Deadline
    def initialize(seconds, clock: -> { Process.clock_gettime(Process::CLOCK_MONOTONIC) }, pause: ->(time) { sleep(time) })
      @clock = clock
      @pause = pause
      @end = clock.call + seconds
    end

    def passed?
      @clock.call >= @end
    end

    # The block's first truthy value, or nil when the time is over. The block runs at least once.
    def wait(every: 0.5, at_most: Float::INFINITY)
      limit = [@clock.call + at_most, @end].min
      loop do
        value = yield
        return value if value
        return if @clock.call >= limit

        @pause.call(every)
      end
    end
  end
end

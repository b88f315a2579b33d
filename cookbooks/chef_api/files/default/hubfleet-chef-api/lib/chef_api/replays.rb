require 'digest'
require 'fileutils'
require 'set'
require_relative 'errors'

module ChefApi
  # Remembers which writes were made, so that a captured one cannot be made again while its
  # signature is good.
  #
  # A signature of the protocol has no nonce: the same request of the same second has the same
  # one. So the second of two is refused with 409, whoever sends it: a client that means it signs
  # it again a second later. What a request did not get done (5xx) is forgotten.
  #
  # Sums of 16 bytes lie in memory and in a file for each window of twice the skew; two windows
  # are kept, so that nothing is forgotten while it could be accepted. A process that ends takes
  # nothing with it. The files are not synced: what was signed before the machine started is
  # refused instead.
  class Replays
    SUM_BYTES = 16
    # Writes in one window of all clients, and of one. The first takes some 10 MB of memory.
    LIMIT = 100_000
    SHARE = 25_000
    # What a client looks for in the answer (hubfleet.clients.chef_wire).
    AGAIN = 'sign it again'.freeze
    FULL = [Errno::ENOSPC, Errno::EDQUOT, Errno::EFBIG].freeze

    # not_before: writes that were signed earlier are refused.
    def initialize(directory, window_s:, not_before: self.class.boot_time, limit: LIMIT, share: SHARE, clock: -> { Time.now })
      FileUtils.mkdir_p(directory, mode: 0o700)
      @directory = directory
      @window_s = window_s
      @not_before = not_before
      @limit = limit
      @share = share
      @clock = clock
      @lock = Mutex.new
      open_window(window)
    end

    # When this machine started, by its own clock; whole seconds, as signatures have.
    def self.boot_time
      Time.at((Time.now - Process.clock_gettime(Process::CLOCK_BOOTTIME)).to_i)
    end

    # Yields, once for each text within the window; raises Refused for any other time.
    # text: what was signed; at: the time in it; client: who signed it.
    def once(text, at:, client:)
      raise Refused.new(409, "this write was signed before the server's machine started: #{AGAIN}") if at < @not_before

      sum = Digest::SHA256.digest(text).byteslice(0, SUM_BYTES)
      @lock.synchronize { remember(sum, client) }
      done = false
      response = yield
      done = response.first < 500
      response
    rescue Refused => e
      done = e.status < 500
      raise
    ensure
      @lock.synchronize { [@sums, @previous].each { |sums| sums.delete(sum) } } if done == false
    end

    private

    def window
      (@clock.call.to_f / @window_s).floor
    end

    def remember(sum, client)
      open_window(window) unless window == @window
      if @sums.include?(sum) || @previous.include?(sum)
        raise Refused.new(409, "this very write was made already: if it is meant once more, #{AGAIN} with a new X-Ops-Timestamp")
      end
      raise Refused.new(429, "too many writes in #{@window_s} s: try again later") if @counts[client] >= @share || @sums.size >= @limit

      append(sum)
      @sums << sum
      @counts[client] += 1
    end

    # In place: what a full disk left of a sum is overwritten by the next.
    def append(sum)
      @file.pwrite(sum, @size)
      @size += SUM_BYTES
    rescue *FULL
      raise Refused.new(507, 'no room on the disk of this server: nothing was changed')
    end

    def open_window(number)
      keep = [number - 1, number].map { |each| File.join(@directory, each.to_s) }
      (Dir[File.join(@directory, '*')] - keep).each { |file| File.unlink(file) }
      @previous, @sums = keep.map { |file| read(file) }
      @counts = Hash.new(0)
      @file&.close
      @file = File.open(keep.last, File::WRONLY | File::CREAT | File::BINARY, 0o600)
      @size = @file.size / SUM_BYTES * SUM_BYTES
      @window = number
    end

    def read(file)
      content = File.exist?(file) ? File.binread(file) : ''.b
      Set.new(content.scan(/.{#{SUM_BYTES}}/mn))
    end
  end
end

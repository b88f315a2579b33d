require 'fileutils'
require 'json'
require 'time'

module WebTls
  # What came of asking an ACME authority, in a file that anybody on the machine may read, and when
  # it may be asked again.
  class AcmeTries
    # Seconds to the next try after the first failure, the second, ... (Let's Encrypt, Integration
    # Guide, Retrying failures): far below 5 refused challenges per name and hour.
    WAITS_S = [60, 600, 6_000, 86_400].freeze
    # No limit of Let's Encrypt looks back further (Rate Limits).
    LONGEST_S = 7 * 86_400

    # file: where they are kept. about: whom is asked for what; tries about something else do not count.
    def initialize(file, about)
      @file = file
      @about = about
    end

    def read
      found = JSON.parse(File.read(@file))
      found.is_a?(Hash) && @about.all? { |key, value| found[key] == value } ? found : {}
    rescue Errno::ENOENT, JSON::ParserError
      {}
    end

    def allowed?(now)
      text = read['next_try']
      text.nil? || now >= Time.iso8601(text)
    rescue ArgumentError, TypeError
      true
    end

    # retry_after_s: how long the authority itself asks to be left alone; returns the next try's time.
    def failed(reason, now, retry_after_s: 0)
      failures = read['failures'].to_i + 1
      wait = [WAITS_S[[failures, WAITS_S.size].min - 1], [retry_after_s, LONGEST_S].min].max
      write('failed', now, now + wait, 'failures' => failures, 'reason' => reason)
      now + wait
    end

    def issued(now, renew_at)
      write('issued', now, renew_at, 'failures' => 0)
    end

    private

    # A reader sees the old record or the new one.
    def write(result, now, next_try, more)
      record = @about.merge('result' => result, 'last_try' => now.utc.iso8601, 'next_try' => next_try.utc.iso8601).merge(more)
      temporary = "#{@file}.tmp"
      File.write(temporary, "#{JSON.pretty_generate(record)}\n")
      File.chmod(0o644, temporary)
      File.rename(temporary, @file)
    end
  end
end

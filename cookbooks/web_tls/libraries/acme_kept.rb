require 'json'
require_relative 'certificate'

module WebTls
  # A certificate that an ACME authority has issued: with its key, its chain and the authority's
  # directory in one text, so that no two halves of different certificates are ever stored.
  class AcmeKept
    DAY_S = 86_400
    # A third of its life before the end, at most 30 days; half of a life of less than 10 days
    # (Let's Encrypt, Integration Guide, When to Renew).
    RENEW_BEFORE_S = 30 * DAY_S
    SHORT_LIFE_S = 10 * DAY_S

    attr_reader :directory, :certificate, :private_key

    # What a text holds; nil where it holds no certificate.
    def self.parse(text)
      values = JSON.parse(text).values_at('directory', 'certificate', 'private_key')
      new(*values) if values.all?(String)
    rescue JSON::ParserError, NoMethodError, TypeError, Certificate::Invalid
      nil
    end

    # directory: URL of the authority's directory. certificate: PEM, the chain after the leaf.
    def initialize(directory, certificate, private_key)
      @directory = directory
      @certificate = certificate
      @private_key = private_key
      @leaf = Certificate.new(certificate)
    end

    def to_s
      JSON.generate('directory' => directory, 'certificate' => certificate, 'private_key' => private_key)
    end

    def inspect
      "#<#{self.class} of #{directory} until #{not_after}>"
    end

    # Whether it may be shown to a browser now: right authority, names, key and time.
    def serves?(directory, names, now)
      directory == self.directory && @leaf.check!(private_key: private_key, server_names: names, now: now)
    rescue Certificate::Invalid
      false
    end

    def not_after
      @leaf.not_after
    end

    # From when on another one is asked for.
    def renew_at
      life = not_after - @leaf.not_before
      not_after - (life < SHORT_LIFE_S ? life / 2 : [life / 3, RENEW_BEFORE_S].min)
    end
  end
end

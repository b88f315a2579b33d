require_relative 'acme_client'
require_relative 'acme_kept'
require_relative 'acme_tries'

module WebTls
  # A certificate from an ACME authority that is kept: whoever has one that is good asks for nothing.
  #
  # It lies in the secret store, where the next machine finds it, and on this machine, so that one
  # which the store did not take is not asked for again.
  class Acme
    CERTIFICATE = 'acme_certificate'.freeze
    ACCOUNT = 'acme_account'.freeze

    # Nothing came of it; the certificate that is there stays.
    class Failed < StandardError; end

    # directory: URL of the authority's directory. store, local: Hubfleet::Secrets.
    # client: AcmeClient. tries: AcmeTries.
    def initialize(role:, directory:, names:, store:, local:, client:, tries:)
      @role = role
      @directory = directory
      @names = names
      @store = store
      @local = local
      @client = client
      @tries = tries
      @texts = {}
    end

    # The certificate to serve, of those in the store and here the one that lasts longest; or nil.
    def kept(now = Time.now)
      places.filter_map { |place| AcmeKept.parse(text_in(place)) }
            .select { |found| found.serves?(@directory, @names, now) }.max_by(&:not_after)
    end

    # Whether the authority is to be asked now. Never while the store cannot be read: it may hold one.
    def due?(now = Time.now)
      found = kept(now)
      problem.nil? && (found.nil? || now >= found.renew_at) && @tries.allowed?(now)
    end

    # Why the store cannot be read; nil where it can.
    def problem
      text_in(@store)
      @unreadable
    end

    # Whether store or machine lack the certificate to serve.
    def unkept?(now = Time.now)
      found = kept(now)
      !found.nil? && problem.nil? && places.any? { |place| text_in(place) != found.to_s }
    end

    # Writes the certificate to serve to where it is missing; raises Failed.
    def keep!(now = Time.now)
      wrong = write(kept(now).to_s)
      raise Failed, "the certificate is in use but not kept: #{wrong.values.first}" unless wrong.empty?
    end

    # Asks for a certificate and keeps it; raises Failed, after noting when to try again.
    def renew!(now = Time.now)
      issued = AcmeKept.new(@directory, *@client.issue(account_key, @names))
      raise AcmeClient::Refused, 'what was issued is not what was asked for' unless issued.serves?(@directory, @names, Time.now)

      wrong = write(issued.to_s)
      raise wrong.values.first if wrong.size == places.size

      @tries.issued(now, issued.renew_at)
      raise Failed, "the certificate is in use but not kept: #{wrong.values.first}" unless wrong.empty?
    rescue AcmeClient::Refused, Certificate::Invalid, Hubfleet::Secrets::Error => e
      again = @tries.failed(e.message, now, retry_after_s: e.respond_to?(:retry_after_s) ? e.retry_after_s : 0)
      raise Failed, "#{@directory} gave no certificate for #{@names.join(', ')}: #{e.message}; next try not before #{again.utc.iso8601}"
    end

    private

    def places
      [@store, @local]
    end

    # Writes to every place that can be written to; returns what went wrong, by place.
    def write(text)
      places.each_with_object({}) do |place, wrong|
        place.write(@role, CERTIFICATE, text)
        @texts[place] = text
      rescue Hubfleet::Secrets::Error => e
        wrong[place] = e
      end
    end

    # What a place holds; empty where there is nothing or nobody can say.
    def text_in(place)
      @texts[place] ||= read(place, CERTIFICATE).to_s
    rescue Hubfleet::Secrets::Error => e
      @unreadable = e.message if place == @store
      @texts[place] = ''
    end

    def read(place, name)
      place.read(@role, name)
    rescue Hubfleet::Secrets::Missing
      nil
    end

    # Kept before it is used: the account outlives whatever comes of the order.
    def account_key
      found = JSON.parse(read(@store, ACCOUNT) || '{}')
      return found.fetch('private_key') if found['directory'] == @directory

      AcmeClient.account_key.tap do |key|
        @store.write(@role, ACCOUNT, JSON.generate('directory' => @directory, 'private_key' => key))
      end
    rescue JSON::ParserError, KeyError, TypeError
      raise AcmeClient::Refused, "the secret #{@role}/#{ACCOUNT} is broken: remove it"
    end
  end
end

module ChefApi
  # An answer that ends a request early: HTTP status and a sentence for the client.
  class Refused < StandardError
    attr_reader :status

    def initialize(status, message)
      super(message)
      @status = status
    end
  end
end

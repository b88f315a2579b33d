module Swarm
  # Joins as a worker: tries the candidates in order until one takes this engine or the time is over.
  class Joining
    # The engine ends a join attempt after 20 s, but goes on in the background for a while.
    SETTLE_S = 10

    # token: called at each attempt, since the manager may publish it after this node has started;
    # returns nil as long as there is none.
    def initialize(engine, managers:, advertise_addr:, port:, token:, deadline:)
      @engine = engine
      @managers = managers
      @advertise_addr = advertise_addr
      @port = port
      @token = token
      @deadline = deadline
      @reasons = {}
    end

    # Raises Swarm::Error with the last reason of each candidate.
    def run
      joined = @deadline.wait(every: 2) { @managers.any? { |manager| attempt(manager) } }
      return if joined

      raise Error, "could not join a swarm in time: #{@reasons.map { |manager, reason| "#{manager}: #{reason}" }.join('; ')}"
    end

    # Raises Swarm::Error when the engine is in a swarm that none of the candidates leads.
    # Nothing can be told while no name resolves: then nothing is said.
    def self.check_home!(state, managers, resolve: Addresses.method(:resolve))
      expected = managers.flat_map { |manager| resolve.call(manager) }
      return if expected.empty? || expected.intersect?(state.manager_addrs)

      raise Error, "this engine belongs to another swarm (managers #{state.manager_addrs.join(', ')}, expected #{expected.join(', ')}): " \
                   'if that one is gone for good, run `docker swarm leave` here'
    end

    private

    def attempt(manager)
      token = @token.call
      return failed(manager, 'no join token has been published') unless token

      begin
        @engine.join(manager: manager, token: token, advertise_addr: @advertise_addr, port: @port)
      rescue DockerEngine::Error => e
        failed(manager, e.message.gsub(token, '[token]'))
      end
      settled(manager)
    end

    # A refused join is inactive at once; one that timed out may still come through.
    def settled(manager)
      state = @deadline.wait(at_most: SETTLE_S) { @engine.state.then { |now| now unless now.pending? } }
      return true if state&.active?

      unless state&.inactive?
        failed(manager, "state #{@engine.state.local} after the attempt")
        @engine.leave
      end
      false
    end

    def failed(manager, reason)
      @reasons[manager] = reason
      false
    end
  end
end

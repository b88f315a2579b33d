require 'digest'
require 'json'
require 'yaml'

module Swarm
  # A stack file against the services that run.
  class Stack
    HASH_LABEL = 'hubfleet.stack-hash'.freeze
    NAMESPACE_LABEL = 'com.docker.stack.namespace'.freeze

    attr_reader :name

    def initialize(name, text)
      @name = name
      @document = YAML.safe_load(text, aliases: true)
    end

    # Short names of the services in the file.
    def services
      @document.fetch('services').keys
    end

    # What is deployed: the file with the hash of each service as a label of that service (not of its
    # containers, so that a changed hash alone restarts nothing).
    def document
      labelled = services.to_h do |service|
        definition = @document['services'][service]
        deploy = definition['deploy'].to_h
        labels = deploy['labels'].to_h.merge(HASH_LABEL => hash_of(service))
        [service, definition.merge('deploy' => deploy.merge('labels' => labels))]
      end
      JSON.generate(@document.merge('services' => labelled))
    end

    # Everything that shapes a service: its definition, and the networks and secrets of the file.
    def hash_of(service)
      shared = @document.slice('networks', 'secrets', 'configs', 'volumes')
      Digest::SHA256.hexdigest(JSON.generate([@document['services'][service], shared]))
    end

    # Reasons to deploy, empty when all is as desired.
    # actual: the services with this stack's label; recorded: their fingerprints after the last deploy.
    def differences(actual, recorded)
      present = actual.to_h { |item| [short(item), item] }
      reasons = services.filter_map do |service|
        found = present[service]
        if found.nil? then "service #{service} is missing"
        elsif found['Spec']['Labels'][HASH_LABEL] != hash_of(service) then "definition of #{service} has changed"
        elsif Stack.fingerprint(found) != recorded[service] then "service #{service} was changed by hand"
        end
      end
      reasons + (present.keys - services).sort.map { |service| "service #{service} is not in the file" }
    end

    def fingerprints(actual)
      actual.to_h { |item| [short(item), Stack.fingerprint(item)] }.sort.to_h
    end

    def short(service)
      service['Spec']['Name'].delete_prefix("#{name}_")
    end

    # Identity of what a service is meant to be. ForceUpdate only counts forced restarts.
    def self.fingerprint(service)
      spec = service['Spec'].merge('TaskTemplate' => service['Spec']['TaskTemplate'].reject { |key, _| key == 'ForceUpdate' })
      Digest::SHA256.hexdigest(JSON.generate(DockerEngine::Config.sorted(spec)))
    end

    # True when as many tasks of the service's present definition run as should. A task with a health
    # check runs only once it is healthy.
    def self.up?(service, tasks)
      current = tasks.count do |task|
        task['DesiredState'] == 'running' && task.dig('Status', 'State') == 'running' &&
          within?(task['Spec'], service['Spec']['TaskTemplate'])
      end
      current >= service.dig('ServiceStatus', 'DesiredTasks') && service.dig('UpdateStatus', 'State') != 'updating'
    end

    # Whether all of `part` is in `whole`: the engine shows a service with defaults that its tasks lack.
    def self.within?(part, whole)
      return part == whole unless part.is_a?(Hash) && whole.is_a?(Hash)

      part.all? { |key, value| within?(value, whole[key]) }
    end

    # Why a service does not run, for an error message: the newest failure, else what its newest task does.
    def self.last_word(tasks)
      newest = tasks.sort_by { |task| task['CreatedAt'] }.reverse
      task = newest.find { |item| item.dig('Status', 'Err') } || newest.first
      return 'no task' unless task

      [task.dig('Status', 'State'), task.dig('Status', 'Err') || task.dig('Status', 'Message')].compact.join(': ')
    end
  end
end

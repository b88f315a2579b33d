# frozen_string_literal: true

require 'json'

module HomeStorage
  # The file system of EFS that user-data names on a machine of AWS, and how it is mounted.
  module Efs
    FACTS = '/etc/hubfleet/aws.json'
    HELPER = '/sbin/mount.efs'
    FORMS = { 'file_system' => /\Afs-[0-9a-f]{8,40}\z/, 'access_point' => /\Afsap-[0-9a-f]{8,40}\z/ }.freeze

    module_function

    # { 'file_system' => ..., 'access_point' => ... }, or nil where homes are on another file server.
    def of(node)
      return unless node['fleet']['backend'] == 'aws'

      homes = JSON.parse(File.read(FACTS))['homes']
      return if homes.nil?

      FORMS.each do |name, form|
        raise "#{FACTS}: homes.#{name} is malformed: '#{homes[name]}'" unless form.match?(homes[name].to_s)
      end
      homes
    end

    # TLS, the machine's own role, and the access point: the file system's policy refuses anything less
    # (terraform/storage.tf).
    def options(base, access_point)
      "#{base},tls,iam,accesspoint=#{access_point}"
    end

    def helper?
      File.executable?(HELPER)
    end
  end
end

# frozen_string_literal: true

require 'json'
require_relative 'attribute_schema'

# Reads roles/*.json, environments/*.json and images/lock.json strictly and expands a role, with the same
# rules and the same words as hubfleet/settings_documents.py.
class RoleDocuments
  class Error < StandardError; end

  Expanded = Struct.new(:run_list, :default, :override)

  RUN_LIST_ITEM = /\A(recipe|role)\[([a-z0-9_]+(?:::[a-z0-9_]+)?)\]\z/
  IMAGE_LOCK = 'images/lock.json'
  LEVELS = %w(default_attributes override_attributes).freeze

  # Hashes merge, everything else is replaced. Arrays are replaced too, also between roles, where Chef
  # itself would take the union: chef-client replaces them when it hoists a policy group, and a list
  # such as `hub.admin_users` must be able to shrink.
  def self.merge(onto, other)
    onto.merge(other) do |_key, mine, theirs|
      mine.is_a?(Hash) && theirs.is_a?(Hash) ? merge(mine, theirs) : theirs
    end
  end

  def initialize(root)
    @root = root
    @schema = JSON.parse(File.read(File.join(root, 'schema/attributes.schema.json')))
  end

  def names(folder)
    Dir.glob(File.join(@root, folder, '*.json')).map { |path| File.basename(path, '.json') }.sort
  end

  def role(name, wanted_by = nil)
    known = names('roles')
    unless known.include?(name)
      who = wanted_by ? "roles/#{wanted_by}.json: run_list: " : ''
      raise Error, "#{who}there is no role '#{name}'#{AttributeSchema.nearest(name, known)}"
    end

    file = "roles/#{name}.json"
    document = read('role', file, name)
    found = document['run_list'].each_with_index.reject { |item, _| RUN_LIST_ITEM.match?(item) }
                                .map do |item, index|
      "run_list[#{index}]: '#{item}' is neither recipe[NAME] nor role[NAME]"
    end
    unless document['env_run_lists'].empty?
      found << 'env_run_lists: must be empty: a role has one run list in all environments'
    end
    fail_with(file, found)
    document
  end

  def environment(name)
    known = names('environments')
    unless known.include?(name)
      raise Error, "there is no environment '#{name}'#{AttributeSchema.nearest(name, known)}"
    end

    file = "environments/#{name}.json"
    document = read('environment', file, name)
    found = []
    unless document['cookbook_versions'].empty?
      found << 'cookbook_versions: must be empty: the policy locks pin the cookbooks'
    end
    found << "name: '#{name}' is also a top-level attribute" if @schema['properties'].key?(name)
    fail_with(file, found)
    document
  end

  # As Chef does: nested roles first, each once, the last one to apply wins.
  def expand(name)
    expanded = Expanded.new([], {}, {})
    visit(name, [], [], expanded)
    expanded.default = with_tags(expanded.default)
    expanded.override = with_tags(expanded.override)
    expanded
  end

  private

  def visit(name, trail, applied, expanded)
    if trail.include?(name)
      cycle = (trail.drop(trail.index(name)) + [name]).join(' -> ')
      raise Error, "roles/#{trail.last}.json: run_list: cycle of roles: #{cycle}"
    end
    return if applied.include?(name)

    applied << name
    document = role(name, trail.last)
    document['run_list'].each do |item|
      kind, target = RUN_LIST_ITEM.match(item).captures
      if kind == 'role'
        visit(target, trail + [name], applied, expanded)
      else
        expanded.run_list |= [target.include?('::') ? item : "recipe[#{target}::default]"]
      end
    end
    expanded.default = self.class.merge(expanded.default, document['default_attributes'])
    expanded.override = self.class.merge(expanded.override, document['override_attributes'])
  end

  # Adds the tag from images/lock.json to every image that `attributes` name.
  def with_tags(attributes)
    return attributes unless attributes.key?('images')

    lock = image_lock
    images = attributes['images'].to_h do |name, image|
      tag = lock.dig(name, 'tag')
      raise Error, "#{IMAGE_LOCK}: #{name}.tag: missing" unless tag.is_a?(String) && !tag.empty?

      [name, image.merge('tag' => tag)]
    end
    attributes.merge('images' => images)
  end

  def image_lock
    raise Error, "#{IMAGE_LOCK}: missing" unless File.file?(File.join(@root, IMAGE_LOCK))

    parse(IMAGE_LOCK)
  end

  def read(kind, file, name)
    document = parse(file)
    fail_with(file, AttributeSchema.problems(document, @schema['$defs'][kind], ''))
    found = LEVELS.flat_map do |level|
      AttributeSchema.problems(document[level], @schema, level, partial: true) +
        tags(document[level], level)
    end
    found << "name: '#{document['name']}' is not the file's name '#{name}'" if document['name'] != name
    fail_with(file, found)
    document
  end

  def tags(attributes, level)
    images = attributes.fetch('images', {})
    return [] unless images.is_a?(Hash)

    images.select { |_, image| image.is_a?(Hash) && image.key?('tag') }
          .map { |name, _| "#{level}.images.#{name}.tag: comes from #{IMAGE_LOCK}" }
  end

  def parse(file)
    document = JSON.parse(File.read(File.join(@root, file), encoding: 'UTF-8'), allow_duplicate_key: false)
    raise Error, "#{file}: expected an object" unless document.is_a?(Hash)

    document
  rescue JSON::ParserError => e
    double = e.message[/duplicate key "(.*?)"/, 1]
    raise Error, "#{file}: key '#{double}' is there twice" if double

    line, column = e.message.match(/line (\d+),? column (\d+)/)&.captures
    raise Error, "#{file}: line #{line}, column #{column}: broken JSON: #{e.message}"
  end

  def fail_with(file, found)
    raise Error, found.map { |problem| "#{file}: #{problem}" }.join("\n") unless found.empty?
  end
end

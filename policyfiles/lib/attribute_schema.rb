# frozen_string_literal: true

# Checks a document against schema/attributes.schema.json, and says what is wrong in the same words as
# hubfleet/settings_schema.py. Knows exactly the keywords that the generated file uses: type, properties,
# required, enum, additionalProperties, items, minimum, maximum.
module AttributeSchema
  KINDS = {
    Integer => 'integer',
    Float => 'number',
    String => 'string',
    Array => 'array',
    Hash => 'object',
    TrueClass => 'boolean',
    FalseClass => 'boolean',
    NilClass => 'null',
  }.freeze

  # Smallest similarity of a key that is worth suggesting.
  CUTOFF = 0.5

  module_function

  # Everything in `value` that `schema` does not allow, as "path: what is wrong". With `partial`, keys
  # may be missing: a role or an environment holds only a part of the tree.
  def problems(value, schema, path, partial: false)
    kind = KINDS.fetch(value.class)
    wanted = schema.fetch('type', kind)
    return ["#{path}: expected #{wanted}, found #{shown(value, kind)}"] unless fits?(kind, wanted)

    found = value_problems(value, schema, path)
    found += object_problems(value, schema, path, partial) if kind == 'object'
    if kind == 'array' && schema.key?('items')
      value.each_with_index do |item, index|
        found += problems(item, schema['items'], "#{path}[#{index}]", partial: partial)
      end
    end
    found
  end

  # " (did you mean 'x'?)" for the most similar of `known`, or nothing.
  def nearest(word, known)
    score, best = known.map { |candidate| [similarity(candidate, word), candidate] }.max
    score && score >= CUTOFF ? " (did you mean '#{best}'?)" : ''
  end

  # Ratcliff-Obershelp similarity from 0 to 1, as Python's difflib computes it: twice the length of all
  # matching blocks over the length of both words.
  def similarity(one, other)
    total = one.length + other.length
    total.zero? ? 1.0 : 2.0 * matches(one, other) / total
  end

  def fits?(kind, wanted)
    kind == wanted || (kind == 'integer' && wanted == 'number')
  end

  def value_problems(value, schema, path)
    found = []
    if schema.key?('enum') && !schema['enum'].include?(value)
      allowed = schema['enum'].map { |item| "'#{item}'" }.join(', ')
      found << "#{path}: '#{value}' is none of #{allowed}#{nearest(value.to_s, schema['enum'])}"
    end
    if schema.key?('minimum') && value < schema['minimum']
      found << "#{path}: #{value} is less than #{schema['minimum']}"
    end
    if schema.key?('maximum') && value > schema['maximum']
      found << "#{path}: #{value} is more than #{schema['maximum']}"
    end
    found
  end

  def object_problems(value, schema, path, partial)
    known = schema.fetch('properties', {})
    required = partial ? [] : schema.fetch('required', [])
    found = (required - value.keys).map { |key| "#{join(path, key)}: missing" }
    value.each do |key, item|
      if known.key?(key)
        found += problems(item, known[key], join(path, key), partial: partial)
      elsif schema['additionalProperties'] == false
        found << "#{join(path, key)}: unknown key#{nearest(key, known.keys)}"
      end
    end
    found
  end

  def join(path, key)
    path.empty? ? key : "#{path}.#{key}"
  end

  def shown(value, kind)
    %w(array object null).include?(kind) ? kind : "#{kind} #{JSON.generate(value)}"
  end

  # Length of all matching blocks: the longest (the first of equals), then those to its left and right.
  def matches(one, other)
    start, other_start, size = longest(one, other)
    return 0 if size.zero?

    size + matches(one[0, start], other[0, other_start]) +
      matches(one[(start + size)..], other[(other_start + size)..])
  end

  def longest(one, other)
    best = [0, 0, 0]
    previous = Array.new(other.length + 1, 0)
    one.each_char.with_index do |char, row|
      current = Array.new(other.length + 1, 0)
      other.each_char.with_index do |match, column|
        next unless char == match

        size = current[column + 1] = previous[column] + 1
        best = [row - size + 1, column - size + 1, size] if size > best[2]
      end
      previous = current
    end
    best
  end
end

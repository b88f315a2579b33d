# frozen_string_literal: true

require_relative 'lock_without_scm'
require_relative 'role_documents'

# Turns a role and the environments into the run list and attributes of a Policyfile:
#
# - the role's attributes, expanded, become the policy's `default` and `override`;
# - an environment's go under `default[<environment>]` and `override[<environment>]`, which chef-client
#   hoists for its own policy group: the group beats the roles' values of the same level, arrays replaced;
# - image tags come from images/lock.json;
# - the named run list `image` holds what Packer converges: the recipes of that name which the cookbooks of
#   the run list have, in its order.
#
# The result depends on the files of this checkout only, and is sorted: the same input gives the same lock.
module RolePolicy
  ROOT = File.expand_path('../..', __dir__)

  module_function

  def apply(policyfile, role, root: ROOT)
    documents = RoleDocuments.new(root)
    run_list = documents.expand(role).run_list
    policyfile.run_list(*run_list)
    image = image_run_list(run_list, root)
    policyfile.named_run_list('image', *image) unless image.empty?
    attributes(documents, role).each do |level, values|
      values.each { |key, value| policyfile.public_send(level)[key] = value }
    end
  end

  def image_run_list(run_list, root)
    cookbooks = run_list.map { |item| item[/\Arecipe\[([a-z0-9_]+)/, 1] }.uniq
    cookbooks.select { |name| File.file?(File.join(root, 'cookbooks', name, 'recipes', 'image.rb')) }
             .map { |name| "recipe[#{name}::image]" }
  end

  # {"default" => {...}, "override" => {...}}, as the lock holds them.
  def attributes(documents, role)
    expanded = documents.expand(role)
    levels = { 'default' => expanded.default.dup, 'override' => expanded.override.dup }
    documents.names('environments').each do |name|
      environment = documents.environment(name)
      levels.each do |level, values|
        group = environment["#{level}_attributes"]
        values[name] = group unless group.empty?
      end
    end
    levels.transform_values { |values| sorted(values) }
  end

  def sorted(value)
    value.is_a?(Hash) ? value.sort.to_h { |key, item| [key, sorted(item)] } : value
  end
end

#!/usr/bin/env ruby
# The embedded Chef API with one control switched off: loosened.rb SETTINGS.json
#
# The header X-Variant of a request names the control; each variant has data of its own. What the
# tests expect of the server must fail on the variant without the control that they are about.
require_relative '../../cookbooks/chef_api/files/default/hubfleet-chef-api/lib/chef_api/service'

# Everything but the named control, as it is.
class Loosened < ChefApi::Service
  def initialize(settings, variant)
    super(settings.merge('data_dir' => "#{settings.fetch('data_dir')}/#{variant.tr(':', '-')}"))
    @control, @what = variant.split(':', 2)
  end

  private

  def authorization
    case @control
    when 'rights' then Class.new(ChefApi::Authorization) { def call(_request); end }.new
    when 'condition' then ChefApi::Authorization.new(ChefApi::Authorization::TABLE.map { |row| without_condition(row) })
    else super
    end
  end

  def without_condition(row)
    ChefApi::Authorization::Row.new(row.path, row.rights.transform_values do |verbs|
      verbs.transform_values { |condition| condition unless condition.to_s == @what }
    end)
  end

  def authentication(identities)
    super.tap do |authentication|
      what = @what
      case @control
      when 'headers' then authentication.define_singleton_method(:checked_headers) { |env| believed_headers(env) }
      when 'check' then authentication.define_singleton_method(what) { |*| nil }
      when 'signature' then authentication.define_singleton_method(:verified?) { |*| true }
      when 'text' then sign_less(authentication, what)
      end
      believe(authentication)
    end
  end

  def believe(authentication)
    authentication.define_singleton_method(:believed_headers) do |env|
      ChefApi::Authentication::REQUIRED.to_h { |name| [name, env["HTTP_#{name.upcase.tr('-', '_')}"].to_s] }
    end
    return unless [@control, @what].intersect?(%w(hash body))

    # The header is believed, whatever the body is.
    authentication.define_singleton_method(:call) { |env, &body| (@claimed = env['HTTP_X_OPS_CONTENT_HASH']) && super(env, &body) }
    authentication.define_singleton_method(:content_hash) { |_body| @claimed }
  end

  # A signature is good whatever this field says: the tests send what was signed beside it.
  def sign_less(authentication, field)
    authentication.define_singleton_method(:canonical_request) do |env, headers, body|
      signed = env["HTTP_X_SIGNED_#{field.upcase}"]
      case field
      when 'method' then super(env.merge('REQUEST_METHOD' => signed || env['REQUEST_METHOD']), headers, body)
      when 'path' then super(env.merge('PATH_INFO' => signed || env['PATH_INFO']), headers, body)
      when 'version' then super(env.merge('HTTP_X_OPS_SERVER_API_VERSION' => signed || env['HTTP_X_OPS_SERVER_API_VERSION']), headers, body)
      when 'time' then super(env, headers.merge('X-Ops-Timestamp' => signed || headers['X-Ops-Timestamp']), body)
      when 'body' then super(env, headers, signed || body)
      when 'client' then super(env, headers.merge('X-Ops-Userid' => signed || headers['X-Ops-Userid']), body)
      end
    end
  end

  def replays
    return super unless @control == 'replays'

    super.tap { |replays| replays.define_singleton_method(:once) { |*, **, &block| block.call } }
  end
end

# Hands each request to the variant that it names.
class Variants < ChefApi::Service
  def app
    File.write("#{@settings.fetch('data_dir')}.routes.json", JSON.generate(routes))
    made = Hash.new { |apps, variant| apps[variant] = variant_app(variant) }
    lock = Mutex.new
    lambda do |env|
      variant = env.delete('HTTP_X_VARIANT') || 'none'
      lock.synchronize { made[variant] }.call(env)
    end
  end

  private

  # A minute for half a request, and no limit to its body.
  def limits(config)
    config.first_data_timeout 60
  end

  # What chef-zero answers, and our table, for the test that compares them with the cells.
  def routes
    zero = ChefZero::Server.new(single_org: false).send(:endpoints).map do |route, endpoint|
      [route, %w(GET POST PUT DELETE).select { |verb| endpoint.respond_to?(verb.downcase) }]
    end
    { zero: zero, table: ChefApi::Authorization::TABLE.map { |row| [row.path, row.rights.transform_values(&:keys)] } }
  end

  def variant_app(variant)
    app = Loosened.new(@settings, variant).app
    app.define_singleton_method(:check_header_size) { |_env| nil } if variant == 'size'
    app.define_singleton_method(:segments) { |path| path.split('/').reject(&:empty?) } if variant == 'names'
    app
  end
end

Variants.load(ARGV.first).run

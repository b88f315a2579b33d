#
# What a machine image holds of nginx: the package and its common configuration, no certificate and no site.
#
package 'nginx-light'

web_tls_nginx 'nginx'

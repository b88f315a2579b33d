#
# What a machine image holds of the registry: its package.
#
package 'docker-registry'

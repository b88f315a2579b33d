name 'node_firewall'
maintainer 'hubfleet'
license 'Apache-2.0'
description "Isolation of students' containers: rules of the node and of the overlay's own namespace"
version '0.1.0'
chef_version '>= 18.0'
supports 'debian'

"""The commands of `./invoke`: everyday verbs, and collections by noun."""

from invoke.collection import Collection

from hubfleet.tasks import (
    bench,
    check,
    chef_data,
    chef_keys,
    chef_tunnel,
    fleet,
    hub,
    images,
    plan,
    policy,
    stack,
)

ns = Collection(
    stack.deploy,
    stack.status,
    stack.doctor,
    stack.verify,
    stack.converge,
    stack.destroy,
    check.check,
    check.test,
    Collection.from_module(policy),
    Collection(
        "chef",
        chef_data.backup,
        chef_data.restore,
        chef_data.export,
        chef_keys.rotate,
        chef_keys.revoke,
        chef_tunnel.tunnel,
    ),
    Collection.from_module(images),
    Collection.from_module(fleet),
    Collection.from_module(hub),
    Collection.from_module(plan),
    Collection.from_module(bench),
)

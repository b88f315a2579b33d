"""What a decision keeps of what it saw: pauses, late boots, pools in trouble, the day's hours."""

from collections.abc import Mapping
from dataclasses import replace

from hubfleet.controller.model import Memory, NodeState, Observation, PoolTrouble, Rules

DAY_S = 86400


def remember(seen: Observation, memory: Memory, rules: Rules, now: float) -> Memory:
    """Return the memory with what the observation adds to it. Pure."""
    paused = {
        node.id: memory.paused_since.get(node.id, seen.at)
        for node in seen.nodes
        if node.state is NodeState.PAUSED
    }
    limit = rules.scaling.ready.boot_timeout_s
    fresh = now - min(seen.read.fleet, seen.read.swarm) <= rules.scaling.stale_s
    late = {
        node.id
        for node in seen.nodes
        if node.state is NodeState.BOOTING
        and (node.id in memory.timed_out or (fresh and now - node.launched_at > limit))
    }
    return replace(
        _count_hours(seen, memory, now),
        seen_at=now,
        paused_since=paused,
        timed_out=frozenset(late),
        pools=_troubles(seen, memory, rules, late - memory.timed_out),
        prestart_credit=_credit(memory, rules, now),
    )


def spent(memory: Memory, rules: Rules) -> bool:
    """Say whether the day's budget of node-hours is used up."""
    budget = rules.scaling.budget_node_hours
    return bool(budget) and memory.node_seconds >= budget * 3600


def rested(memory: Memory, rules: Rules, now: float) -> str | None:
    """Return the first pool in order that is not resting after failures, None where all are."""
    for pool in rules.scaling.pools.order:
        trouble = memory.pools.get(pool)
        if trouble is None or trouble.until <= now:
            return pool
    return None


def _count_hours(seen: Observation, memory: Memory, now: float) -> Memory:
    """Add up the seconds of all workers since the day began, by UTC."""
    day = int(now // DAY_S)
    midnight = float(day * DAY_S)
    if memory.seen_at is None:
        lived = sum(max(0.0, now - max(midnight, node.launched_at)) for node in seen.nodes)
        return replace(memory, day=day, node_seconds=lived)
    before = memory.node_seconds if memory.day == day else 0.0
    elapsed = max(0.0, now - max(midnight, memory.seen_at))
    return replace(memory, day=day, node_seconds=before + elapsed * len(seen.nodes))


def _troubles(
    seen: Observation, memory: Memory, rules: Rules, late: set[str]
) -> Mapping[str, PoolTrouble]:
    """Return the pools in trouble: refused orders and late boots; a worker that came up heals."""
    pools = dict(memory.pools)
    failures = [(failure.at, failure.pool) for failure in seen.failures]
    failures += [(seen.at, node.pool) for node in seen.nodes if node.id in late]
    for moment, pool in sorted(failures):
        known = pools.get(pool)
        if known and moment <= known.at:
            continue
        count = known.failures + 1 if known else 1
        wait = min(rules.scaling.pools.retry_most_s, rules.scaling.pools.retry_s * 2 ** (count - 1))
        pools[pool] = PoolTrouble(count, moment, moment + wait)
    for node in seen.nodes:
        trouble = pools.get(node.pool)
        if trouble and node.state is NodeState.ACTIVE and node.launched_at > trouble.at:
            del pools[node.pool]
    return pools


def _credit(memory: Memory, rules: Rules, now: float) -> float:
    """Return how many servers may be started ahead: a bucket filled at the pace of the rules."""
    pace = rules.scaling.classes.prestart_per_minute / 60
    elapsed = 0.0 if memory.seen_at is None else max(0.0, now - memory.seen_at)
    return min(max(1.0, pace * 10), memory.prestart_credit + elapsed * pace)

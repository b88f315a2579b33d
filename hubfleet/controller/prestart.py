"""Servers that are started before a class, for the students of a group, and stopped if unused."""

from hubfleet.controller.model import Action, Memory, Observation, Prestart, Release, Rules


def prestarts(
    seen: Observation, memory: Memory, rules: Rules, now: float, free: int
) -> tuple[list[Action], float]:
    """Return what to start and stop for groups, and the credit that is left. Pure.

    `free` are the free seats on workers that take servers; students who wait come first. Nothing is
    stopped without fresh news from the hub: a server may have been opened meanwhile.
    """
    times = rules.scaling.classes
    fresh = now - seen.read.hub <= rules.scaling.stale_s
    credit, room = memory.prestart_credit, free - seen.queued
    groups = {group.name: group for group in seen.groups}
    actions: list[Action] = []
    missing = {group.name: group.missing for group in seen.groups}
    awaited = {
        window.group
        for window in seen.windows
        if window.start - times.prestart_s <= now < min(window.end, window.start + times.release_s)
    }
    for window in sorted(seen.windows, key=lambda w: (w.start, w.name)):
        group = groups.get(window.group)
        if group is None or not fresh:
            continue
        if window.start - times.prestart_s <= now < window.start:
            count = min(missing[group.name], room, int(credit))
            if count > 0:
                actions.append(Prestart(group.name, count, f"{window.name} starts soon"))
                credit, room = credit - count, room - count
                missing[group.name] -= count
        elif window.start + times.release_s <= now and group.unused and group.name not in awaited:
            reason = f"nobody opened them {times.release_s} s into {window.name}"
            actions.append(Release(group.name, group.unused, reason))
            # Once is enough, whatever other class the group had today.
            awaited.add(group.name)
    return actions, credit

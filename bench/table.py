"""Contestants in turn, and the medians of what they did."""

import statistics
from dataclasses import replace

import load
from cost import GROUPS


def measure(contestants, rounds):
    """Bursts by contestant, in turn. Each round another one begins: what a burst leaves behind, such as files that the disk
    is still removing, falls on the next one."""
    bursts = [[] for _ in contestants]
    for first in range(rounds):
        for turn in range(len(contestants)):
            number = (first + turn) % len(contestants)
            _, server, burst = contestants[number]
            bursts[number].append(burst(server))
            server.forget_uploads()
    return bursts


def show(name, unit, labels, bursts):
    """Of latencies, in ms, the ratio is of speeds too: above 1, the first one is faster."""
    if unit == "ms":
        bursts = [[replace(burst, rate=1 / burst.latency) for burst in own] for own in bursts]
    scale = 1e6 if unit == "MB/s" else 1
    print(f"\n{name:42}{'ratio':>7}{'(range)':>14}{unit:>10}" + "".join(f"{group + ' µs':>15}" for group in GROUPS))
    for label, own in zip(labels, bursts):
        ratios = [today.rate / other.rate for today, other in zip(bursts[0], own)]
        cpu = "".join(f"{statistics.median(burst.cpu.get(group, 0) for burst in own):15.0f}" for group in GROUPS)
        noise = statistics.median(burst.noise for burst in own)
        ratio = f"{statistics.median(ratios):7.2f}{f'({min(ratios):.2f}-{max(ratios):.2f})':>14}"
        rate = statistics.median(burst.rate for burst in own) / scale
        shown = f"{1000 / rate:10.2f}" if unit == "ms" else f"{rate:10.0f}"
        print(f"  {label:40}{ratio}{shown}{cpu}" + (f"  ~{noise:.1f}" if noise > load.NOISE else ""), flush=True)

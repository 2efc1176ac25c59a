"""Small layouts with the most hosts that can be emptied, proved by an integer program (HiGHS).

    pip install highspy==1.15.1 && python3 scripts/lib/plan-optima.py memc-core/tests/data/plans.json

The file is frozen: tests read it and need no solver. Each case is a layout of 12 hosts, a budget, and the optimum: the
number of hosts emptied and, with that many, the least MiB moved. The program decides which hosts are emptied and where
every instance ends up, those on other hosts included, so that it bounds plans with side moves too:

    x[i,h]  instance i ends on host h            y[h]  host h is emptied
    sum over h of x[i,h] = 1                     x[i,h] <= 1 - y[h]
    memory booked on h <= its limit              arrivals on h <= its free ports
    instances of a cache on h <= 1               in a rack <= max(its most per rack, what is there)
    MiB moved <= budget, in all and of a cache

It knows nothing of the order of moves. A case counts only if its assignment can be reached by direct moves of which
every prefix fits (depth first over the sets of moves made); otherwise this assignment is cut off and the program solved
again, a few times, and then the case is dropped: its optimum is not known to be reachable. Of the 336 layouts behind
the frozen file, 84 were dropped for that, 31 because 40 s were not enough for a proof, and 13 because four families of
52 are enough.
"""

import json
import math
import multiprocessing
import random
import sys

import highspy

HOSTS = 12
CASES = 52  # of each family
SECONDS = 40
FAMILIES = [(sizes, spread) for sizes in ("menu", "lognormal") for spread in ("loose", "tight")]


def booking(memory):
    return memory + max(memory // 10 + 1, 4)


def layout(sizes, spread, rng):
    racks = rng.choice([3, 4, 6])
    hosts = [
        {
            "rack": number % racks,
            "limit": rng.choice([900, 1800, 2700]),
            "ports": rng.randint(1, 8) if spread == "tight" and rng.random() < 0.6 else 99,
            "open": rng.random() < 0.95,
            "booked": 0,
        }
        for number in range(HOSTS)
    ]
    caches, instances = [], []
    shrunk = rng.uniform(0.15, 0.30)
    target = rng.uniform(0.45, 0.80) * sum(host["limit"] for host in hosts)
    for _ in range(1000):
        if sum(host["booked"] for host in hosts) >= target:
            break
        menu = rng.choice([32, 64, 128, 256, 512])
        memory = menu if sizes == "menu" else min(800, max(8, round(rng.lognormvariate(math.log(120), 0.9))))
        count = rng.choice([1, 1, 2, 3, 4] if spread == "loose" else [2, 3, 4, 6, 8])
        most = None
        if spread == "tight":
            most = max(1, -(-count // racks) + rng.choice([0, 0, 1]))
        cache = len(caches)
        placed, held = [], [0] * racks
        for number in rng.sample(range(HOSTS), HOSTS):
            host = hosts[number]
            fits = host["booked"] + booking(memory) <= host["limit"]
            if len(placed) < count and fits and (most is None or held[host["rack"]] < most):
                placed.append(number)
                held[host["rack"]] += 1
        if not placed:
            continue
        caches.append(most)
        for number in placed:
            now = max(8, round(memory * rng.uniform(0.2, 0.8))) if rng.random() < shrunk else memory
            hosts[number]["booked"] += booking(memory)
            movable = rng.random() < 0.985
            instances.append((cache, number, now, booking(memory), booking(now), movable))
    stored = sum(of[2] for of in instances)
    total = stored * 30 // 100
    per_cache = total if rng.random() < 0.7 else max(stored // 10, 1)
    return {"hosts": hosts, "caches": caches, "instances": instances, "total": total, "per_cache": per_cache}


def reach(case, ends):
    """Whether direct moves to these ends can be made one after another; None if that took too long."""
    hosts, instances = case["hosts"], case["instances"]
    moving = [i for i, of in enumerate(instances) if ends[i] != of[1]]
    seen, nodes = set(), 0

    def fits(i, at, booked):
        cache, _, _, _, rebooked, _ = instances[i]
        to = ends[i]
        if booked[to] + rebooked > hosts[to]["limit"]:
            return False
        others = [at[j] for j, of in enumerate(instances) if of[0] == cache and j != i]
        if to in others:
            return False
        rack, most = hosts[to]["rack"], case["caches"][cache]
        if most is None or hosts[at[i]]["rack"] == rack:
            return True
        return sum(hosts[h]["rack"] == rack for h in others) < most

    def go(made, at, booked):
        nonlocal nodes
        if len(made) == len(moving):
            return True
        nodes += 1
        if made in seen or nodes > 20_000:
            return False
        seen.add(made)
        for i in moving:
            if i not in made and fits(i, at, booked):
                after, held = list(at), list(booked)
                after[i] = ends[i]
                held[ends[i]] += instances[i][4]
                held[at[i]] -= instances[i][3]
                if go(made | {i}, after, held):
                    return True
        return False

    found = go(frozenset(), [of[1] for of in instances], [host["booked"] for host in hosts])
    return found if found or nodes <= 20_000 else None


class Program:
    def __init__(self, case):
        self.case = case
        hosts, instances = case["hosts"], case["instances"]
        self.lp = lp = highspy.Highs()
        lp.setOptionValue("output_flag", False)
        lp.setOptionValue("time_limit", float(SECONDS))
        lp.setOptionValue("mip_rel_gap", 0.0)
        lp.setOptionValue("mip_abs_gap", 0.5)
        lp.setOptionValue("threads", 1)
        on = [[i for i, of in enumerate(instances) if of[1] == h] for h in range(HOSTS)]
        # What rebalance may empty: open hosts with instances, all of which can be moved.
        empties = [hosts[h]["open"] and bool(on[h]) and all(instances[i][5] for i in on[h]) for h in range(HOSTS)]
        takes = [hosts[h]["open"] and bool(on[h]) for h in range(HOSTS)]
        self.y = {h: lp.addBinary() for h in range(HOSTS) if empties[h]}
        self.x = {
            (i, h): lp.addBinary()
            for i, of in enumerate(instances)
            for h in range(HOSTS)
            if h == of[1] or (of[5] and takes[h])
        }
        x, y = self.x, self.y
        for i in range(len(instances)):
            lp.addConstr(sum(x[i, h] for h in range(HOSTS) if (i, h) in x) == 1)
        for (_, h), end in x.items():
            if h in y:
                lp.addConstr(end + y[h] <= 1)
        for h in range(HOSTS):
            ends = [(i, x[i, h]) for i in range(len(instances)) if (i, h) in x]
            arrivals = [end for i, end in ends if instances[i][1] != h]
            booked = [(instances[i][3 if instances[i][1] == h else 4]) * end for i, end in ends]
            if booked:
                lp.addConstr(sum(booked) <= hosts[h]["limit"])
            if arrivals:
                lp.addConstr(sum(arrivals) <= hosts[h]["ports"])
        racks = {host["rack"] for host in hosts}
        cold = [of[2] * (1 - x[i, of[1]]) for i, of in enumerate(instances)]
        for cache, most in enumerate(case["caches"]):
            own = [i for i, of in enumerate(instances) if of[0] == cache]
            lp.addConstr(sum(cold[i] for i in own) <= case["per_cache"])
            for h in range(HOSTS):
                ends = [x[i, h] for i in own if (i, h) in x]
                if len(ends) > 1:
                    lp.addConstr(sum(ends) <= 1)
            for rack in racks if most is not None else ():
                here = sum(hosts[instances[i][1]]["rack"] == rack for i in own)
                ends = [x[i, h] for i in own for h in range(HOSTS) if (i, h) in x and hosts[h]["rack"] == rack]
                if len(ends) > max(most, here):
                    lp.addConstr(sum(ends) <= max(most, here))
        self.cold = sum(cold)
        lp.addConstr(self.cold <= case["total"])

    def solve(self, objective, most):
        lp = self.lp
        (lp.maximize if most else lp.minimize)(objective)
        return lp.getModelStatus() == highspy.HighsModelStatus.kOptimal

    def ends(self):
        chosen = {}
        for (i, h), end in self.x.items():
            if self.lp.val(end) > 0.5:
                chosen[i] = h
        return [chosen[i] for i in range(len(self.case["instances"]))]


def optimum(case):
    """(hosts emptied, MiB moved), or why not."""
    program = Program(case)
    if not program.y:
        return "nothing to empty"
    emptied = sum(program.y.values())
    if not program.solve(emptied, True):
        return "not proved"
    hosts = round(program.lp.getObjectiveValue())
    if hosts == 0:
        return "none"
    program.lp.addConstr(emptied >= hosts)
    for _ in range(3):
        if not program.solve(program.cold, False):
            return "not proved"
        mib = round(program.lp.getObjectiveValue())
        ends = program.ends()
        if reach(case, ends):
            return hosts, mib
        moved = [program.x[i, h] for i, h in enumerate(ends) if h != case["instances"][i][1]]
        program.lp.addConstr(sum(moved) <= len(moved) - 1)
    return "no order"


def frozen(case, hosts, mib):
    return {
        "hosts": [[h["rack"], h["limit"], h["booked"], h["ports"], int(h["open"])] for h in case["hosts"]],
        "caches": [most or 0 for most in case["caches"]],
        "instances": [[*of[:5], int(of[5])] for of in case["instances"]],
        "budget": [case["total"], case["per_cache"]],
        "optimum": [hosts, mib],
    }


def attempt(sizes, spread, seed):
    case = layout(sizes, spread, random.Random(f"{sizes} {spread} {seed}"))
    result = optimum(case)
    return result if isinstance(result, str) else frozen(case, *result)


def main():
    done = {}
    with multiprocessing.Pool(2) as pool:
        for sizes, spread in FAMILIES:
            cases, dropped, seed = [], {}, 1
            while len(cases) < CASES:
                batch = [(sizes, spread, seed + more) for more in range(8)]
                seed += len(batch)
                for result in pool.starmap(attempt, batch, chunksize=1):
                    if isinstance(result, str):
                        dropped[result] = dropped.get(result, 0) + 1
                    else:
                        cases.append(result)
            done[f"{sizes} sizes, {spread} spread"] = cases[:CASES]
            print(f"{sizes} sizes, {spread} spread: {len(cases)} found, dropped {dropped}", flush=True)
    with open(sys.argv[1], "w") as out:
        out.write(json.dumps(done, separators=(",", ":")).replace('{"hosts"', '\n{"hosts"') + "\n")


if __name__ == "__main__":
    main()

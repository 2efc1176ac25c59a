"""The PyPI package `binpacking` on files as `pack` reads them: `total COUNT HOSTS MS` of all instances."""

import sys
import time
from pathlib import Path

from binpacking import to_constant_volume

count, hosts, took = 0, 0, 0.0
for file in sys.argv[1:]:
    lines = Path(file).read_text().splitlines()
    for header, sizes in zip(lines[::2], lines[1::2], strict=True):
        capacity, items = int(header.split()[1]), [int(size) for size in sizes.split()]
        start = time.perf_counter()
        bins = to_constant_volume(items, capacity)
        took += time.perf_counter() - start
        assert sorted(item for of_bin in bins for item in of_bin) == sorted(items)
        count += 1
        hosts += len(bins)
print(f"total {count} {hosts} {took * 1e3:.1f}")

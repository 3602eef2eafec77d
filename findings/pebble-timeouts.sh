#!/usr/bin/env bash
# pebble 5.2.3 (CPython 3.11): time limits of `ProcessPool.schedule` and `ProcessPool.map`.
# Expected: a limit of 0 or NaN is refused or passes at once; each item of a map has an outcome of its own.
# Seen (Linux x86-64): 0 and NaN are no limit at all, while -1 passes at once. A map of four items in one chunk yields a single
# TimeoutError and ends: the items that had finished within the limit are lost with the others.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet pebble==5.2.3
cat > seen.py <<'PYTHON'
import time

from pebble import ProcessPool


def work(seconds):
    time.sleep(seconds)
    return "done"


def outcome(future):
    try:
        return future.result()
    except TimeoutError:
        return "timeout"


def outcomes(results):
    seen = []
    while True:
        try:
            seen.append(next(results))
        except StopIteration:
            return seen
        except TimeoutError:
            seen.append("timeout")


if __name__ == "__main__":
    with ProcessPool(max_workers=1) as pool:
        for limit in (0, float("nan"), -1):
            print(limit, outcome(pool.schedule(work, args=[0.5], timeout=limit)))
        for size in (1, 4):
            print("chunks of", size, *outcomes(pool.map(work, [0.2] * 4, timeout=0.5, chunksize=size).result()))
PYTHON
seen=$(venv/bin/python seen.py)
echo "$seen"
diff <(echo "$seen") - <<'TEXT'
0 done
nan done
-1 timeout
chunks of 1 done done done done
chunks of 4 timeout
TEXT

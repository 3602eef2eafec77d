"""One of Python's pools, measured block by block: peer.py loky|concurrent.futures|multiprocessing.Pool

It prints its version, then reads the name of a measure from each line of its input and prints a number for it. `src/measure.rs`
defines the measures, and does this for the programs in Rust.
"""

import sys
import time

import tasks


class Executor:
    """The common interface of loky and concurrent.futures."""

    def __init__(self, executor):
        self.executor = executor

    def call(self):
        self.executor.submit(tasks.noop).result()

    def collect(self, n_calls):
        futures = [self.executor.submit(tasks.noop) for _ in range(n_calls)]
        for future in futures:
            future.result()

    def map(self, n_items):
        # The default is one message per item.
        return sum(1 for _ in self.executor.map(tasks.noop, range(n_items), chunksize=100))

    def large(self, data):
        return self.executor.submit(len, data).result()

    def close(self):
        self.executor.shutdown()


class Pool:
    """multiprocessing.Pool."""

    def __init__(self, pool):
        self.pool = pool

    def call(self):
        self.pool.apply(tasks.noop)

    def collect(self, n_calls):
        results = [self.pool.apply_async(tasks.noop) for _ in range(n_calls)]
        for result in results:
            result.get()

    def map(self, n_items):
        return len(self.pool.map(tasks.noop, range(n_items)))

    def large(self, data):
        return self.pool.apply(len, (data,))

    def close(self):
        self.pool.close()
        self.pool.join()


def find(name):
    """Returns the version, and a function that makes a pool of n workers."""
    python = "Python " + ".".join(map(str, sys.version_info[:3]))
    if name == "loky":
        import loky

        return f"{loky.__version__}, {python}", lambda n: Executor(loky.ProcessPoolExecutor(n))
    if name == "concurrent.futures":
        import concurrent.futures

        return python, lambda n: Executor(concurrent.futures.ProcessPoolExecutor(n))
    import multiprocessing

    return python, lambda n: Pool(multiprocessing.Pool(n))


def p50_micros(call, seconds=0.1):
    times = []
    last = time.perf_counter()
    start = last + seconds / 10
    while last < start + seconds or not times:
        call()
        now = time.perf_counter()
        if now >= start:
            times.append(now - last)
        last = now
    times.sort()
    return times[len(times) // 2] * 1e6


def per_second(run, n_calls, seconds=0.2):
    start = time.perf_counter()
    n_done = 0
    while True:
        run(n_calls)
        n_done += n_calls
        elapsed = time.perf_counter() - start
        if elapsed >= seconds:
            return n_done / elapsed


def main():
    version, make = find(sys.argv[1])
    one, two = make(1), make(2)
    for pool in (one, two):
        pool.call()
    print(version, flush=True)

    def large():
        data = bytes(i % 251 for i in range(251)) * ((64 << 20) // 251 + 1)
        data = data[: 64 << 20]
        start = time.perf_counter()
        assert one.large(data) == 64 << 20
        return (time.perf_counter() - start) * 1e3

    def first_result():
        start = time.perf_counter()
        pool = make(2)
        pool.call()
        took = time.perf_counter() - start
        pool.close()
        return took * 1e3

    measures = {
        "round trip": lambda: p50_micros(one.call),
        "collect": lambda: per_second(two.collect, 10_000),
        "map": lambda: per_second(two.map, 100_000),
        "64 MiB": large,
        "start": first_result,
    }
    for line in sys.stdin:
        print(measures[line.strip()](), flush=True)
    for pool in (one, two):
        pool.close()


if __name__ == "__main__":
    main()

#!/usr/bin/env bash
# pebble 5.2.3 (CPython 3.11): a call passes its time limit, or is cancelled while it runs, and has started a process of its own.
# Expected: the limit ends the work, with what the call has started.
# Seen (Linux x86-64): the worker is killed and the future fails, but the process that the call had started runs on, under init.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet pebble==5.2.3
cat > seen.py <<'PYTHON'
import os
import signal
import subprocess
import time

from pebble import ProcessPool


def starts_a_process(path):
    child = subprocess.Popen(["sleep", "60"])
    with open(path + ".new", "w") as file:
        file.write(str(child.pid))
    os.rename(path + ".new", path)
    time.sleep(60)


def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.01)
    return int(open(path).read())


def state(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0]


def report(what, future, path):
    pid = wait_for(path)
    if what == "cancel":
        future.cancel()
    try:
        future.result()
    except BaseException as error:
        print(what, type(error).__name__, "state of its process:", state(pid))
    os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    with ProcessPool(max_workers=1) as pool:
        report("limit", pool.schedule(starts_a_process, args=["a"], timeout=1), "a")
        report("cancel", pool.schedule(starts_a_process, args=["b"]), "b")
PYTHON
seen=$(venv/bin/python seen.py)
echo "$seen"
diff <(echo "$seen") - <<'TEXT'
limit TimeoutError state of its process: S
cancel CancelledError state of its process: S
TEXT

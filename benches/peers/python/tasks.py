"""What the workers run. In a module, so that it is found by name and not sent along with each call."""


def noop(_=None):
    pass

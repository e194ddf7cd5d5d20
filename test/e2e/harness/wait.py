"""Bounded waits."""
import time


class TimedOut(AssertionError):
    pass


def until(what, condition, seconds=30, every=0.05):
    """Calls condition() until it gives something true, and returns that. Says what was not reached,
    with the last thing that condition() raised or gave."""
    end = time.monotonic() + seconds
    while True:
        try:
            value, trouble = condition(), None
            if value:
                return value
        except (AssertionError, OSError, LookupError, ValueError, RuntimeError) as error:
            value, trouble = None, error
        if time.monotonic() > end:
            raise TimedOut("not within %d s: %s (last: %s)" % (seconds, what, trouble or value))
        time.sleep(every)

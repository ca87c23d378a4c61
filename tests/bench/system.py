STEPS = {}
ROWS = []
class Failure(Exception): pass
import time
def wait_for(f, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        r = f()
        if r: return r
        time.sleep(0.05)
    return None

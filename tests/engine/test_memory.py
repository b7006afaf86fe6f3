"""Memory that threads free is not held by heaps of their own."""

import subprocess
import sys

import pytest

# Heaps of a process one of whose threads has taken memory, as the C library describes them.
COUNT = """
import ctypes, sys, threading
from convnextv2.engine.memory import keep_one_heap

if sys.argv[1] == "one":
    keep_one_heap()
libc = ctypes.CDLL("libc.so.6")
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
libc.fopen.argtypes = [ctypes.c_char_p] * 2
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.fclose.argtypes = [ctypes.c_void_p]
threads = [threading.Thread(target=libc.malloc, args=(50000,)) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
file = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc")
def test_threads_take_memory_from_one_heap(tmp_path):
    def count(how):
        path = tmp_path / how
        subprocess.run([sys.executable, "-c", COUNT, how, path], check=True)
        return path.read_text().count("<heap nr=")

    assert count("several") > 1
    assert count("one") == 1

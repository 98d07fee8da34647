"""The C library from Python's ctypes: a till in this process, and one that is served. Run by `.ci/python`."""

import ctypes
import json
import os
import pathlib
import sys
import threading
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "../../clients/python"))
from test_tresen import DEADLINE, Later, Shop as Served  # noqa: E402

OK, FAILED, INVALID, TIMEOUT, ENDED, PANICKED = range(6)
LIBRARY = os.environ.get("TRESEN_FFI", str(HERE / "../../target/debug/libtresen_ffi.so"))


def library():
    c = ctypes.CDLL(LIBRARY)
    text, handle, out = ctypes.c_char_p, ctypes.c_uint64, ctypes.POINTER(ctypes.c_uint64)
    texts = ctypes.POINTER(ctypes.c_void_p)
    c.tresen_version.restype = text
    c.tresen_last_error.restype = ctypes.c_void_p
    c.tresen_free.argtypes, c.tresen_free.restype = [ctypes.c_void_p], None
    c.tresen_open.argtypes = [text, out]
    c.tresen_connect.argtypes = [text, text, out]
    c.tresen_on_behalf_of.argtypes = c.tresen_with_leases.argtypes = [handle, text, out]
    c.tresen_call.argtypes = [handle, text, text, text, texts]
    c.tresen_abort.argtypes = [handle, text, ctypes.POINTER(ctypes.c_int32)]
    c.tresen_follow.argtypes = [handle, out, texts]
    c.tresen_next_event.argtypes = [handle, ctypes.c_int64, texts]
    c.tresen_close.argtypes = [handle, ctypes.c_uint32]
    return c


class Library(Served):
    """As a program in any other language uses it."""

    def setUp(self):
        self.c = library()
        super().setUp()

    def take(self, pointer):
        """Copies a text of the library, and frees it."""
        try:
            return json.loads(ctypes.string_at(pointer))
        finally:
            self.c.tresen_free(pointer)

    def error(self):
        return self.take(self.c.tresen_last_error())

    def opened(self, function, *args):
        handle = ctypes.c_uint64(7)
        status = function(*args, ctypes.byref(handle))
        if status != OK:
            self.assertEqual(handle.value, 0)
            raise AssertionError(self.error())
        return handle.value

    def call(self, till, command, under=None, **fields):
        reply = ctypes.c_void_p()
        status = self.c.tresen_call(till, command.encode(), json.dumps(fields).encode(), under, ctypes.byref(reply))
        self.assertEqual(status, OK, "" if status == OK else self.error())
        return self.take(reply)

    def wait_ready(self, till, name):
        device = {"class": "terminal", "name": name}
        self.wait_until(lambda: self.call(till, "till.phase", device=device) == "ready")

    def use(self, till):
        """Pays twice under one key, aborts, and follows."""
        self.wait_ready(till, "counter")
        self.wait_ready(till, "slow")
        events, snapshot = ctypes.c_uint64(), ctypes.c_void_p()
        self.assertEqual(self.c.tresen_follow(till, ctypes.byref(events), ctypes.byref(snapshot)), OK)
        self.assertEqual(len(self.take(snapshot)["devices"]), 3)
        pay = {"terminal": "counter", "amount": "12.50 EUR"}
        first = self.call(till, "terminal.pay", b"order-17", **pay)
        self.assertEqual(self.call(till, "terminal.pay", b"order-17", **pay), first)
        self.assertIn("charged", first)
        event = ctypes.c_void_p()
        self.assertEqual(self.c.tresen_next_event(events, DEADLINE * 1000, ctypes.byref(event)), OK)
        self.assertIn("seq", self.take(event))
        waiting = Later(lambda: self.drain(events))
        paying = Later(lambda: self.call(till, "terminal.pay", b"slow-1", terminal="slow", amount="1.00 EUR"))
        self.wait_until(lambda: self.call(till, "terminal.serving", terminal="slow"))
        found = ctypes.c_int32()
        self.assertEqual(self.c.tresen_abort(till, b"slow-1", ctypes.byref(found)), OK)
        self.assertEqual(found.value, 1)
        self.assertIn("not-charged", paying.result())
        reply = ctypes.c_void_p(7)
        self.assertEqual(self.c.tresen_call(till, b"till.fly", None, b"k", ctypes.byref(reply)), FAILED)
        self.assertEqual((reply.value, self.error()["kind"]), (None, "unsupported"))
        # Errors belong to the thread of the call.
        other = []
        thread = threading.Thread(target=lambda: other.append(self.c.tresen_last_error()))
        thread.start()
        thread.join()
        self.assertEqual(other, [None])
        self.assertEqual(self.c.tresen_close(till, 5000), OK)
        self.assertIn(waiting.result(), (ENDED, INVALID))
        self.assertEqual(self.c.tresen_close(till, 5000), INVALID)
        self.assertEqual(self.c.tresen_call(till, b"till.info", None, None, ctypes.byref(reply)), INVALID)

    def drain(self, events):
        event = ctypes.c_void_p()
        while (status := self.c.tresen_next_event(events, -1, ctypes.byref(event))) == OK:
            self.c.tresen_free(event)
        return status

    def test_a_till_in_this_process(self):
        self.till.end()
        self.use(self.opened(self.c.tresen_open, str(self.config).encode()))
        self.open_till()

    def test_a_till_that_is_served(self):
        identity = self.identity("watch sell print pay")
        options = json.dumps({"identity": str(identity)}).encode()
        till = self.opened(self.c.tresen_connect, self.url.encode(), options)
        other = ctypes.c_uint64(7)
        self.assertEqual(self.c.tresen_on_behalf_of(till, b"bar", ctypes.byref(other)), FAILED)
        self.assertEqual((other.value, self.error()["kind"]), (0, "unsupported"))
        self.use(till)
        till = self.opened(self.c.tresen_connect, self.url.encode(), options)
        stored = self.call(till, "terminal.find", key="python/order-17")
        self.assertEqual(self.charged(self.counter), 1, stored)
        self.assertEqual(self.c.tresen_close(till, 0), OK)

    def test_the_version_is_that_of_the_till(self):
        self.assertEqual(self.c.tresen_version().decode(), self.ask("till.info")["version"])


# Its own tests are not run once more here.
for name in [name for name in dir(Served) if name.startswith("test_")]:
    setattr(Library, name, None)
del Served

if __name__ == "__main__":
    unittest.main()

"""Tests of tresen.py: `.ci/python`, or `python3 -m unittest` with the built command in TRESEN."""

import json
import os
import pathlib
import queue
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import tresen  # noqa: E402

TRESEN = os.environ.get("TRESEN", str(HERE / "../../target/debug/tresen"))
# Nothing here takes this long, unless it hangs.
DEADLINE = 60
RIGHTS = "watch sell print drawer pay refund"


class Frames(unittest.TestCase):
    """Against the examples of RFC 6455."""

    def test_a_masked_text_is_that_of_section_5_7(self):
        frame = tresen._masked(tresen.TEXT, b"Hello", bytes.fromhex("37fa213d"))
        self.assertEqual(frame.hex(), "818537fa213d7f9f4d5158")

    def test_lengths_are_written_as_in_section_5_2(self):
        for size, head in (0, "8280"), (125, "82fd"), (126, "82fe007e"), (65535, "82feffff"), (65536, "82ff0000000000010000"):
            frame = tresen._masked(tresen.BINARY, bytes(size), bytes(4))
            self.assertEqual(frame[: len(head) // 2].hex(), head)
            self.assertEqual(len(frame), len(head) // 2 + 4 + size)

    def test_the_answer_to_a_nonce_is_that_of_section_1_3(self):
        self.assertEqual(tresen._accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")

    def test_what_comes_is_read_however_it_is_split(self):
        # Section 5.7: a text in two fragments, a ping in between; then an unmasked text.
        ping = "8905" + b"Hello".hex()
        bytes_ = bytes.fromhex("010348656c" + ping + "80026c6f" + "810548656c6c6f")
        for size in 1, 2, 3, 100:
            socket_ = Pieces(bytes_, size)
            self.assertEqual(socket_.client.receive(), "Hello")
            self.assertEqual(socket_.client.receive(), "Hello")
            self.assertEqual(socket_.sent[0] & 0x8F, 0x8A, "a pong was sent")

    def test_what_a_server_must_not_send_is_refused(self):
        masked, reserved, unknown = "818537fa213d7f9f4d5158", "c10548656c6c6f", "830548656c6c6f"
        binary, lone, nested = "8200", "8000", "010348656c010348656c"
        long_ping, split_ping = "897e007e" + "00" * 126, "090548656c6c6f"
        endless, not_utf8 = "817f7fffffffffffffff", "8102c328"
        for wrong in masked, reserved, unknown, binary, lone, nested, long_ping, split_ping, endless, not_utf8:
            with self.assertRaises(tresen.Error, msg=wrong) as raised:
                Pieces(bytes.fromhex(wrong), 100).client.receive()
            self.assertEqual(raised.exception.kind, "protocol", wrong)

    def test_a_close_says_why(self):
        with self.assertRaises(tresen.Error) as raised:
            Pieces(bytes.fromhex("880603f0" + b"gone".hex()), 100).client.receive()
        self.assertEqual(raised.exception.kind, "permission")
        self.assertIn("1008", str(raised.exception))

    def test_every_frame_cut_short_is_a_lost_connection(self):
        whole = bytes.fromhex("817e007e") + bytes(126)
        for length in range(len(whole)):
            with self.assertRaises(tresen.Error) as raised:
                Pieces(whole[:length], 7).client.receive()
            self.assertEqual(raised.exception.kind, "closed")


class Pieces:
    """A stream that has these bytes, in pieces of that size."""

    def __init__(self, data, size):
        self.data, self.size, self.sent = data, size, b""
        self.client = tresen._WebSocket.__new__(tresen._WebSocket)
        self.client._stream, self.client._reader = self, tresen._Reader(self)
        self.client._writing, self.client.asked = threading.Lock(), lambda: None

    def recv(self, _):
        piece, self.data = self.data[: self.size], self.data[self.size :]
        return piece

    def sendall(self, data):
        self.sent += data

    def shutdown(self, _):
        pass


class Values(unittest.TestCase):
    def test_tax_rates_are_percent(self):
        self.assertEqual([tresen._vat(rate) for rate in (19, "7", "7.7", "0")], [1900, 700, 770, 0])
        for wrong in "7.777", "much", None, "inf":
            with self.assertRaises(tresen.Error):
                tresen._vat(wrong)

    def test_contents_are_texts_items_or_bytes(self):
        items = [{"type": "text", "text": "Hello"}, {"type": "cut"}]
        self.assertEqual(tresen._content(["Hello", {"type": "cut"}]), {"v": 1, "receipt": {"items": items}})
        self.assertEqual(tresen._content("Hello"), {"v": 1, "receipt": {"items": items[:1]}})
        self.assertEqual(tresen._content(b"\x1b@"), {"v": 1, "raw": {"language": "escpos", "bytes": "G0A="}})

    def test_an_outcome_has_a_name_with_and_without_details(self):
        self.assertEqual(tresen.Outcome({"charged": {"amount": "1.00 EUR"}})["amount"], "1.00 EUR")
        self.assertEqual((tresen.Outcome("cancelled").name, tresen.Outcome("cancelled").get("why")), ("cancelled", None))

    def test_events_that_are_not_taken_are_named(self):
        events = tresen.Events(lambda _: None)
        for seq in range(1, tresen.QUEUED + 4):
            events._put({"seq": seq})
        self.assertEqual(events.next(0), {"missed": {"from": 1, "to": 4}})
        self.assertEqual(events.next(0), {"seq": 5})

    def test_addresses_that_would_show_a_secret_or_are_none_are_refused(self):
        for url in "http://till", "ws://10.0.0.1:7480", "ws://till-1.local", "wss://", "wss://till:port", "", None:
            with self.assertRaises(tresen.Error, msg=url) as raised:
                tresen.connect(url, token="secret")
            self.assertIn(raised.exception.kind, ("address", "config"), url)
            self.assertNotIn("secret", str(raised.exception))


class Peers(unittest.TestCase):
    """What answers is no till, or none that behaves."""

    def answer(self, *answers):
        """A server on this machine that sends these bytes, one piece for each that it gets."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            peer, _ = listener.accept()
            with peer:
                for piece in answers:
                    asked = peer.recv(65536).decode("latin-1")
                    nonce = re.search("Sec-WebSocket-Key: (.*)\r\n", asked)
                    accept = tresen._accept(nonce.group(1)) if nonce else ""
                    peer.sendall(piece.replace(b"ACCEPT", accept.encode()))

        threading.Thread(target=serve, daemon=True).start()
        return f"ws://127.0.0.1:{listener.getsockname()[1]}"

    def test_one_error_for_each(self):
        switch = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: ACCEPT\r\n\r\n"
        refusal = json.dumps({"kind": "permission", "effect": "none", "retry": "never", "what": "no", "message": "no, no"})
        refused = f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(refusal)}\r\n\r\n{refusal}".encode()
        cases = [
            ([b"220 mail.example ESMTP\r\n\r\n"], "protocol"),
            ([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"], "unsupported"),
            ([b"HTTP/1.1 404 Not Found\r\nContent-Length: 99999999999\r\n\r\n"], "protocol"),
            ([refused], "permission"),
            ([switch.replace(b"ACCEPT", b"x")], "protocol"),
            ([b"x" * (tresen.HEADERS + 65536)], "protocol"),
            ([b""], "closed"),
            ([switch, b"\x81\x02{}"], "unsupported"),
            ([switch, b"\x81\x02[]"], "protocol"),
            ([switch, b"\x81\x03{'}"], "protocol"),
            ([switch, b"\x88\x02\x03\xe9"], "closed"),
        ]
        for answers, kind in cases:
            with self.assertRaises(tresen.Error, msg=answers) as raised:
                tresen.connect(self.answer(*answers), token="x")
            self.assertEqual(raised.exception.kind, kind, answers)

    def test_nobody_there(self):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        with self.assertRaises(tresen.Error) as raised:
            tresen.connect(f"ws://127.0.0.1:{port}", token="x")
        self.assertEqual((raised.exception.kind, raised.exception.effect), ("refused", "none"))


class Running:
    """The command, which answers with lines of JSON."""

    def __init__(self, *args):
        self.lines = queue.Queue()
        self.process = subprocess.Popen(
            [TRESEN, "--json", *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        threading.Thread(target=self._read, daemon=True).start()
        self.errors = threading.Thread(target=self.process.stderr.read, daemon=True)
        self.errors.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(json.loads(line))

    def line(self):
        return self.lines.get(timeout=DEADLINE)

    def say(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def end(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(DEADLINE)
        self.process.stdin.close()
        self.process.stdout.close()
        self.errors.join(DEADLINE)
        self.process.stderr.close()


class Relay:
    """Between a client and its till; it can be cut."""

    def __init__(self, port):
        self.port, self.through = port, True
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"wss://127.0.0.1:{self.listener.getsockname()[1]}"
        self.pairs = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
                if not self.through:
                    client.close()
                    continue
                till = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                return
            self.pairs += [client, till]
            for one, other in (client, till), (till, client):
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    def _pass(self, one, other):
        try:
            while True:
                data = one.recv(65536)
                if not data:
                    break
                other.sendall(data)
        except OSError:
            pass
        for end in one, other:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        self.through = False
        for end in self.pairs:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def mend(self):
        self.through = True


class Shop(unittest.TestCase):
    """A till that is served, with two simulated terminals and a simulated printer."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.counter = self.run_command("sim", "terminal", "--listen", "127.0.0.1:0", "--pace", "0")
        self.slow = self.run_command("sim", "terminal", "--listen", "127.0.0.1:0", "--pace", "1000")
        paper = str(self.folder / "paper")
        self.paper = self.run_command("sim", "printer", "--listen", "127.0.0.1:0", "--out", paper)
        at = [simulator.line()["address"] for simulator in (self.counter, self.slow, self.paper)]
        with socket.create_server(("127.0.0.1", 0)) as free, socket.create_server(("127.0.0.1", 0)) as other:
            self.port, self.plain = free.getsockname()[1], other.getsockname()[1]
        self.config = self.folder / "till.toml"
        self.config.write_text(
            f"[till]\nname = 'Till 1'\n[remote]\nlisten = '127.0.0.1:{self.port}'\nplain = '127.0.0.1:{self.plain}'\n"
            f"[terminals.counter]\naddress = '{at[0]}'\n[terminals.slow]\naddress = '{at[1]}'\n"
            f"[printers.receipt]\naddress = '{at[2]}'\n"
        )
        self.url = f"wss://127.0.0.1:{self.port}"
        self.till = None
        self.open_till()
        self.addCleanup(lambda: self.till.end())
        self.relay = Relay(self.port)
        self.addCleanup(self.relay.listener.close)

    def run_command(self, *args):
        command = Running(*args)
        self.addCleanup(command.end)
        return command

    def open_till(self):
        self.till = Running("serve", str(self.config))
        self.till.line()

    def ask(self, command, **fields):
        """Asks the till over its local socket."""
        with socket.socket(socket.AF_UNIX) as local:
            local.connect(str(self.folder / "till.db.sock"))
            lines = local.makefile("rw")
            lines.readline()
            lines.write(json.dumps({"id": 1, "command": command, "with": fields}) + "\n")
            lines.flush()
            return json.loads(lines.readline())["reply"]

    def identity(self, rights=RIGHTS, name="python"):
        folder = self.folder / name
        if not folder.exists():
            code = self.ask("remote.enrol", name=name, rights=rights)["code"]
            self.assertEqual(tresen.join(self.url, code, folder), name)
        return folder

    def connect(self, **options):
        till = tresen.connect(self.relay.url, identity=self.identity(), **options)
        self.addCleanup(till.close)
        return till

    def ready(self, till, *devices):
        """Waits until these devices are ready."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            states = {state["name"]: state["phase"] for state in till.devices()}
            if all(states[name] == "ready" for name in devices):
                return
            time.sleep(0.02)
        self.fail(f"not ready: {states}")

    def charged(self, simulator, at_least=1):
        """How many payments this terminal has in its ledger, which the simulator looks at ten times a second."""
        entries = {}

        def look():
            simulator.say("ledger")
            simulator.say("busy")
            while "fault" not in (line := simulator.line()):
                entries[line["entry"]] = line
            simulator.say("behave")
            return len(entries) >= at_least

        self.wait_until(look)
        # Long enough for one more look, so that what is there twice shows.
        time.sleep(0.3)
        look()
        return len(entries)

    def test_the_programs_of_the_readme_join_and_sell(self):
        readme = (HERE / "README.md").read_text("utf-8")
        program = re.search("```python\n(.*?)```", readme, re.S).group(1)
        self.assertLessEqual(len(program.splitlines()), 20)
        one_line = re.search("python3 -c '(.*?)'\n", readme).group(1)
        code = self.ask("remote.enrol", name="Python", rights="watch sell print pay")["code"]
        one_line = one_line.replace("wss://till-1.local:7443", self.url).replace("K7QF-02ZM-9XTA", code)
        environment = {**os.environ, "PYTHONPATH": str(HERE), "PYTHONWARNINGS": "error"}
        with tresen.connect(identity=self.identity()) as till:
            self.ready(till, "counter", "receipt")
        for text in one_line, program:
            command = [sys.executable, "-c", text]
            done = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=DEADLINE)
            self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        self.assertIn("paid 11.80 EUR", done.stdout)
        self.assertIn("printed", done.stdout)

    def test_a_sale_with_cash_weight_and_a_decline(self):
        till = self.connect()
        self.ready(till, "counter", "receipt")
        sale = till.open_sale()
        sale.add("Flat white", "3.80 EUR", 19, 2, group="drinks").weigh("Ham", 125, "23.96 EUR", "7")
        self.assertEqual(sale.due, "10.60 EUR")
        self.counter.say("decline 108")
        self.counter.line()
        self.assertEqual(sale.pay_card("counter").name, "not-charged")
        self.assertEqual(sale.pay_card("counter", "5.00 EUR")["amount"], "5.00 EUR")
        self.assertEqual(sale.pay_cash("10.00 EUR"), "4.40 EUR")
        # Another station's change is noticed.
        other = till.sale(sale.id)
        closed = sale.close("receipt")
        self.assertEqual((closed.name, sale.view["state"]), ("closed", "closed"))
        with self.assertRaises(tresen.Error) as raised:
            other.void("late")
        self.assertEqual((raised.exception.kind, raised.exception.effect), ("busy", "none"))

    def test_the_same_key_is_the_same_payment_and_the_same_paper(self):
        till = self.connect()
        self.ready(till, "counter", "receipt")
        first = till.terminal("counter").pay("12.50 EUR", key="order-17")
        with tresen.connect(self.url, identity=self.identity()) as again:
            self.assertEqual(again.terminal("counter").pay("12.50 EUR", key="order-17").json, first.json)
        with self.assertRaises(tresen.Error) as raised:
            till.terminal("counter").pay("99.00 EUR", key="order-17")
        self.assertEqual((raised.exception.kind, raised.exception.effect), ("input", "none"))
        printer = till.printer("receipt")
        for _ in range(2):
            self.assertEqual(printer.print(["Grüß Gott", {"type": "cut"}], key="paper-17").name, "printed")
        self.assertEqual(self.charged(self.counter), 1)
        # The printer saves what it has when it ends.
        self.paper.say("quit")
        self.paper.process.wait(DEADLINE)
        self.assertEqual(len(list((self.folder / "paper").glob("*.txt"))), 1)

    def test_a_connection_cut_in_the_middle_of_a_payment_and_the_events_meanwhile(self):
        till = self.connect()
        self.ready(till, "counter", "slow", "receipt")
        events = till.follow()
        paying = Later(lambda: till.terminal("slow").pay("1.00 EUR", key="cut-1"))
        self.wait_until(lambda: till.call("terminal.serving", terminal="slow"))
        self.relay.cut()
        with tresen.connect(self.url, identity=self.identity()) as other:
            other.printer("receipt").print(["Meanwhile", {"type": "cut"}], key="meanwhile")
        self.relay.mend()
        self.assertEqual(paying.result().name, "charged")
        self.assertEqual(self.charged(self.slow), 1)
        seen = []
        while not any("printed" in event["kind"] for event in seen if isinstance(event.get("kind"), dict)):
            seen.append(events.next(DEADLINE))
            self.assertIsNotNone(seen[-1])
        numbers = [event["seq"] for event in seen]
        self.assertEqual(numbers, list(range(numbers[0], numbers[0] + len(numbers))), "none is missing, none is there twice")

    def test_a_till_killed_in_the_middle_of_a_payment_and_of_something_else(self):
        self.identity(RIGHTS + " settle")
        till = self.connect()
        self.ready(till, "slow", "receipt")
        events = till.follow()
        events.next(0)
        paying = Later(lambda: till.terminal("slow").pay("1.00 EUR", key="kill-1"))
        self.wait_until(lambda: till.call("terminal.serving", terminal="slow"))
        # It waits for the payment. A restarted till does not know whether this was done before.
        reading = Later(lambda: till.call("terminal.end-of-day", terminal="slow"))
        self.wait_until(lambda: sum(call.sent for call in list(till._connection._pending.values())) >= 2)
        self.till.end(signal.SIGKILL)
        self.open_till()
        with self.assertRaises(tresen.Error) as raised:
            reading.result()
        self.assertEqual((raised.exception.kind, raised.exception.effect), ("closed", "unknown"))
        # Also where the terminal is not back yet.
        self.assertIn(paying.result().name, ("charged", "not-charged", "unknown"))
        self.assertLessEqual(self.charged(self.slow, at_least=0), 1)
        missed = next(event for event in events if "missed" in event)
        self.assertEqual(missed["missed"]["from"], 0)
        self.assertEqual({state["name"] for state in missed["devices"]}, {"counter", "slow", "receipt"})

    def test_a_payment_is_aborted_from_another_thread(self):
        till = self.connect()
        self.ready(till, "slow")
        self.assertFalse(till.abort("slow-1"))
        paying = Later(lambda: till.terminal("slow").pay("1.00 EUR", key="slow-1"))
        self.wait_until(lambda: till.call("terminal.serving", terminal="slow"))
        self.assertTrue(till.abort("slow-1"))
        self.assertEqual(paying.result().name, "not-charged")

    def test_many_threads_share_a_connection(self):
        till = self.connect()
        asking = [Later(lambda: [till.call("till.info")["name"] for _ in range(25)]) for _ in range(8)]
        for some in asking:
            self.assertEqual(set(some.result()), {"Till 1"})

    def test_a_till_that_stays_away_fails_calls_and_says_what_is_known(self):
        till = self.connect(patience=1.0)
        self.ready(till, "slow")
        paying = Later(lambda: till.terminal("slow").pay("1.00 EUR", key="away-1"))
        self.wait_until(lambda: till.call("terminal.serving", terminal="slow"))
        self.relay.cut()
        with self.assertRaises(tresen.Error) as raised:
            paying.result()
        self.assertEqual((raised.exception.kind, raised.exception.effect), ("closed", "unknown"))
        self.assertIn("away-1", raised.exception.hint)
        with self.assertRaises(tresen.Error) as raised:
            till.terminal("slow").pay("2.00 EUR", key="away-2")
        self.assertEqual((raised.exception.kind, raised.exception.effect), ("closed", "none"))
        self.relay.mend()
        self.assertEqual(till.terminal("slow").pay("1.00 EUR", key="away-1").name, "charged")
        with self.assertRaises(tresen.Error) as raised:
            till.call("terminal.pay", terminal="slow", amount="1.00 EUR", key="late-1", timeout=0.01)
        self.assertEqual((raised.exception.kind, raised.exception.effect), ("timeout", "unknown"))
        self.assertEqual(till.terminal("slow").pay("1.00 EUR", key="late-1").name, "charged")

    def test_who_is_revoked_is_out_at_once(self):
        till = self.connect()
        events = till.follow()
        following = Later(lambda: list(events))
        self.ask("remote.revoke", name="python", why="test")
        with self.assertRaises(tresen.Error) as raised:
            following.result()
        self.assertEqual(raised.exception.kind, "permission")
        with self.assertRaises(tresen.Error) as raised:
            till.call("till.info")
        self.assertEqual(raised.exception.kind, "permission")
        with self.assertRaises(tresen.Error) as raised:
            tresen.connect(self.url, identity=self.folder / "python")
        self.assertEqual(raised.exception.kind, "permission")

    def test_a_code_begins_a_session_on_this_machine_and_its_token_is_renewed(self):
        code = self.ask("remote.token", name="script", rights="watch")["code"]
        with tresen.connect(f"ws://127.0.0.1:{self.plain}", code=code) as till:
            self.assertEqual((till.you, till.rights), ("script", "watch"))
            connection = till._connection
            token, connection._renewed = connection._address.token, time.monotonic() - tresen.RENEWAL
            connection._renew()
            self.wait_until(lambda: connection._address.token != token)
            connection._socket.drop()
            self.assertEqual(till.call("till.info")["name"], "Till 1")
            with self.assertRaises(tresen.Error) as raised:
                till.terminal("counter").pay("1.00 EUR")
            self.assertEqual((raised.exception.kind, raised.exception.effect), ("permission", "none"))

    def test_joining_badly(self):
        folder = self.folder / "bad"
        with self.assertRaises(tresen.Error) as raised:
            tresen.join(self.url, "0000-0000-0000", folder)
        self.assertEqual(raised.exception.kind, "permission", raised.exception)
        self.assertFalse(folder.exists())
        with self.assertRaises(tresen.Error) as raised:
            tresen.join(self.url, "0000-0000-0000", self.folder)
        self.assertEqual(raised.exception.kind, "input")
        with self.assertRaises(tresen.Error) as raised:
            tresen.connect(self.url, identity=folder)
        self.assertEqual(raised.exception.kind, "config")

    def test_another_till_at_the_same_address_is_not_taken_for_this_one(self):
        identity = self.identity()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"]
        name = json.loads((identity / "till.json").read_text())["till"] + ".tresen.internal"
        files = ["-keyout", str(self.folder / "key.pem"), "-out", str(self.folder / "cert.pem")]
        subject = ["-subj", "/CN=till", "-addext", f"subjectAltName=DNS:{name}"]
        subprocess.run([*make, *files, *subject], check=True, capture_output=True, timeout=DEADLINE)
        context.load_cert_chain(self.folder / "cert.pem", self.folder / "key.pem")
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            peer, _ = listener.accept()
            try:
                context.wrap_socket(peer, server_side=True).close()
            except OSError:
                peer.close()

        threading.Thread(target=serve, daemon=True).start()
        with self.assertRaises(tresen.Error) as raised:
            tresen.connect(f"wss://127.0.0.1:{listener.getsockname()[1]}", identity=identity)
        self.assertEqual(raised.exception.kind, "permission")

    def wait_until(self, true):
        end = time.monotonic() + DEADLINE
        while not true():
            self.assertLess(time.monotonic(), end, "it never came")
            time.sleep(0.01)


class Later:
    """What another thread does."""

    def __init__(self, work):
        self.done, self.value, self.error = threading.Event(), None, None
        threading.Thread(target=self._run, args=(work,), daemon=True).start()

    def _run(self, work):
        try:
            self.value = work()
        except BaseException as error:  # noqa: BLE001
            self.error = error
        self.done.set()

    def result(self):
        if not self.done.wait(DEADLINE):
            raise AssertionError("it never ended")
        if self.error:
            raise self.error
        return self.value


if __name__ == "__main__":
    unittest.main()

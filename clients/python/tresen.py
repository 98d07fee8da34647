"""Sell, print and take card payments at a tresen till, over the network.

One file, Python 3.9 or later, standard library only. `README.md` has a whole program.

    import tresen

    with tresen.connect(identity="my-identity") as till:
        payment = till.terminal("counter").pay("12.50 EUR", key="order-17")
        if payment.name == "charged":
            till.printer("receipt").print(["Paid", {"type": "cut"}])

`Till.call` runs any command of the till by its name; `Printer`, `Terminal`, `Scanner` and `Sale` are shorter ways of
writing the usual ones. Amounts are text with a currency, "12.50 EUR"; replies are the JSON of the commands as
dictionaries and lists. What went wrong is an `Error`; a declined card and an empty roll of paper are results, not errors.

A connection that is lost is made again, and what was not answered is sent again under its idempotency key, so that nothing
is paid or printed twice. All objects may be used by several threads at once.
"""

from __future__ import annotations

import base64
import collections
import decimal
import hashlib
import hmac
import ipaddress
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.parse
import uuid
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Tuple, Union

__all__ = ["Error", "Events", "Outcome", "Printer", "Sale", "Scanner", "Terminal", "Till", "connect", "join"]
__version__ = "0.1.0"

PROTOCOL = 1
"""The version of the protocol that this client speaks."""

Json = Any


class Error(Exception):
    """What went wrong, where, whether it had an effect, and what to do."""

    def __init__(
        self,
        kind: str,
        what: str,
        *,
        effect: str = "none",
        retry: str = "never",
        device: Optional[str] = None,
        hint: Optional[str] = None,
        causes: Iterable[str] = (),
        message: Optional[str] = None,
    ) -> None:
        self.kind = kind
        """`input`, `config`, `permission`, `busy`, `closed`, `timeout`, `not-found`, `unsupported`, …"""
        self.what = what
        """The fault."""
        self.effect = effect
        """`none`: nothing happened; `partial`: a part has; `unknown`: it may have happened or not."""
        self.retry = retry
        """`now`, `after-reconnect`, `after-operator` or `never`."""
        self.device = device
        """The device or file, if it concerns one."""
        self.hint = hint
        """The next step, if one is known."""
        self.causes = list(causes)
        """What lies below it, the outermost first."""
        if message is None:
            message = f"{device}: {what}" if device else what
            message += f" ({': '.join(self.causes)})" if self.causes else ""
            message += f"; {hint}" if hint else ""
        super().__init__(message)

    @classmethod
    def from_json(cls, error: Json) -> "Error":
        """The error that a till has sent."""
        if not isinstance(error, dict):
            return cls("protocol", "the till sent an error that cannot be read", effect="unknown")
        return cls(
            str(error.get("kind", "protocol")),
            str(error.get("what", "the till does not say what went wrong")),
            effect=str(error.get("effect", "unknown")),
            retry=str(error.get("retry", "never")),
            device=error.get("device"),
            hint=error.get("hint"),
            causes=[str(cause) for cause in error.get("causes") or ()],
            message=error.get("message"),
        )

    def copy(self) -> "Error":
        """The same error, to be raised by another thread."""
        facts = {"effect": self.effect, "retry": self.retry, "device": self.device, "hint": self.hint}
        return Error(self.kind, self.what, causes=self.causes, message=str(self), **facts)


class Outcome:
    """How a payment, a print or a checkout ended: `name`, such as `charged`, and what belongs to it."""

    def __init__(self, reply: Json) -> None:
        self.json = reply
        """The reply as it came."""
        self.name, self.details = reply, {}
        if isinstance(reply, dict) and len(reply) == 1:
            ((self.name, self.details),) = reply.items()

    def __getitem__(self, field: str) -> Json:
        return self.details[field]

    def get(self, field: str, default: Json = None) -> Json:
        """A field of the details, or `default`."""
        return self.details.get(field, default)

    def __repr__(self) -> str:
        return f"Outcome({self.name!r})"


def connect(
    url: Optional[str] = None,
    *,
    identity: Union[str, os.PathLike, None] = None,
    token: Optional[str] = None,
    code: Optional[str] = None,
    ca: Union[str, os.PathLike, None] = None,
    patience: float = 60.0,
) -> "Till":
    """Connects to a till: `wss://HOST:PORT`, or, without one, where the identity has joined it.

    `identity` is a folder that `join` or the command `tresen join` has made: certificate and key, and the authority of the
    till. Without one, `token` is a token of the till, or `code` a one-time code that `tresen token` shows, and `ca` the file
    of the till's authority; such a session ends when its token is not renewed for 15 minutes, and this program renews it.
    `ws://` carries tokens only to this machine.

    While the connection is away, calls wait `patience` seconds for it; then they fail, with an `effect` that says whether
    they may have been done.

    Raises `Error`: `not-found`, `refused`, `timeout`: no till answers at this address. `permission`: it does not let this
    caller in, or it is not the till that the identity belongs to. `config`: the identity cannot be read.
    """
    address = _Address(url, identity, ca)
    address.token = token
    if code is not None:
        if token is not None or identity is not None:
            raise Error("config", "a caller has an identity, a token or a code", hint="give one of them")
        address.token = str(address.ask("POST", "/v1/session", {"code": code})[0]["token"])
    elif token is not None and identity is not None:
        raise Error("config", "a caller has an identity, a token or a code", hint="give one of them")
    return Till(_Connection(address, patience))


def join(url: str, code: str, folder: Union[str, os.PathLike]) -> str:
    """Joins the till at `wss://HOST:PORT` by a one-time code that `tresen enrol` shows there, and makes the identity
    `folder`, which must not exist. Returns the name of this caller at the till.

    The code also proves that the till is the one that has shown it, so that nobody in between learns anything of use. The
    certificate is good for a year. Needs the program `openssl`, since Python itself cannot make keys; where there is none,
    `tresen join` makes the same folder.

    Raises `Error`: `permission`: the till does not accept the code, or what answers is not the till that has shown it.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        raise Error("unsupported", "there is no `openssl` here", hint="run `tresen join`, which makes the same folder")
    address = _Address(url, None, None, verify=False)
    if address.context is None:
        raise Error("address", "a caller joins over wss:// only")
    identity = pathlib.Path(folder)
    if identity.exists():
        raise Error("input", "is there already", device=str(identity), hint="choose another folder, or delete this one")
    key, request = _key(openssl)
    digits = code.upper().translate(str.maketrans({"O": "0", "I": "1", "L": "1", " ": None, "-": None}))
    # One connection, so that the certificate that is seen is that of the end that answers.
    with address.exchange() as till:
        offer = till.ask("GET", "/v1/enrol")
        secret = hashlib.pbkdf2_hmac("sha256", digits.encode("utf-8"), bytes.fromhex(offer["salt"]), ROUNDS)
        nonce = os.urandom(32)
        proof = _proof(secret, b"client", _sha256(till.certificate), nonce, _sha256(_der(request)))
        message = {"nonce": nonce.hex(), "request": request, "proof": proof.hex()}
        for tries in range(ATTEMPTS):
            try:
                answer = till.ask("POST", "/v1/enrol", message)
                break
            except Error as error:
                # Somebody else's attempt was in the same second.
                if error.kind != "busy" or tries + 1 == ATTEMPTS:
                    raise
                time.sleep(1.1)
    authority, certificate = answer["authority"], answer["certificate"]
    expected = _proof(secret, b"till", _sha256(_der(authority)), _sha256(_der(certificate)), nonce)
    if not hmac.compare_digest(expected.hex(), answer["proof"]):
        what = "what answers does not know the code: it is not the till that has shown it"
        raise Error("permission", what, hint="check the address; if it is right, somebody is in between")
    about = {"till": offer["till"], "name": offer["name"], "url": url, "you": answer["name"]}
    identity.mkdir(mode=0o700, parents=True)
    for name, text in ("client.pem", key + certificate), ("ca.pem", authority), ("till.json", json.dumps(about)):
        with open(os.open(identity / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    return str(answer["name"])


class Till:
    """A connection to a till: `connect`."""

    def __init__(self, connection: "_Connection", leases: Tuple[Json, ...] = ()) -> None:
        self._connection = connection
        self._leases = leases

    def __enter__(self) -> "Till":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Till({self._connection.welcome.get('name')!r}, as {self.you!r})"

    @property
    def you(self) -> str:
        """The name under which the till knows this caller."""
        return self._connection.welcome.get("you", "")

    @property
    def rights(self) -> str:
        """What this caller may do: `watch print:bar pay`."""
        return self._connection.welcome.get("rights", "")

    def close(self) -> None:
        """Disconnects. What has begun at the till goes on."""
        self._connection.close()

    def call(
        self,
        command: str,
        fields: Optional[Mapping[str, Json]] = None,
        *,
        key: Optional[str] = None,
        timeout: Optional[float] = None,
        **more: Json,
    ) -> Json:
        """Runs a command and returns its reply. Its fields are keywords, or a dictionary where a name is no keyword here.

        `key` is the idempotency key: calls with the same key and fields are one call. The till remembers it for 10 minutes,
        and that of a payment, a print, a new sale or a step of a sale for good. Choose it yourself, and store it, for what must not happen twice even if this program ends in between.

        `timeout`, in seconds, ends the waiting only: ask again with the same key.

        Raises `Error`: that of the command; `closed` or `timeout` if there is no answer.
        """
        request: Dict[str, Json] = {"command": command}
        if key or command not in READS:
            request["key"] = key or uuid.uuid4().hex
        fields = {**(fields or {}), **more}
        if fields:
            request["with"] = fields
        if self._leases:
            request["leases"] = list(self._leases)
        return self._connection.call(request, timeout)

    def abort(self, key: str) -> bool:
        """Asks the transaction of the call with this key to abort; false if none is running. It may still succeed: the
        call itself tells."""
        return bool(self._connection.call({"command": "abort", "with": {"key": key}}, None))

    def with_lease(self, grant: Mapping[str, Json]) -> "Till":
        """The same till for calls that are refused once this lease, a reply of `lease.acquire`, has ended."""
        lease = {"target": grant["target"], "token": grant["token"]}
        kept = tuple(other for other in self._leases if other["target"] != lease["target"])
        return Till(self._connection, (*kept, lease))

    def follow(self) -> "Events":
        """The events from now on, and the state of the devices before them."""
        return self._connection.follow()

    def devices(self) -> List[Json]:
        """The state of all devices."""
        return self.call("till.snapshot")["devices"]

    def capabilities(self) -> Json:
        """What the till can do now: what a screen should offer."""
        return self.call("till.capabilities")

    def printer(self, name: str) -> "Printer":
        """A printer or route of that name."""
        return Printer(self, name)

    def terminal(self, name: str) -> "Terminal":
        """A payment terminal of that name."""
        return Terminal(self, name)

    def scanner(self, name: str) -> "Scanner":
        """A scanner of that name."""
        return Scanner(self, name)

    def open_sale(self, key: Optional[str] = None) -> "Sale":
        """A new, empty sale."""
        return Sale(self, self.call("sale.open", key=key))

    def sale(self, id: str) -> "Sale":
        """A stored sale. Raises `Error` of kind `input` if there is none."""
        found = self.call("sale.find", sale=id)
        if found is None:
            raise Error("input", f"unknown sale `{id}`")
        return Sale(self, found)


class _Device:
    def __init__(self, till: Till, field: str, name: str) -> None:
        self._till = till
        self._field = field
        self.name = name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def call(self, command: str, fields: Optional[Mapping[str, Json]] = None, **options: Json) -> Json:
        """Runs a command of this device: `Till.call` without the name of the class."""
        return self._till.call(f"{self._field}.{command}", {self._field: self.name, **(fields or {})}, **options)


class Printer(_Device):
    """A printer, or a route of printers."""

    def __init__(self, till: Till, name: str) -> None:
        super().__init__(till, "printer", name)

    def print(self, content: Json, *, key: Optional[str] = None, within: Optional[float] = None) -> Outcome:
        """Prints, and waits until it is on paper or that fails: `printed`, `accepted`, `waiting`, `unknown`, …

        `content` is a list of items, each a text or a dictionary as in the till's documentation of receipts; or a text; or
        bytes in the printer's own language, ESC/POS. `within` is how many seconds to wait; it is printed anyway, later.
        """
        fields: Dict[str, Json] = {"content": _content(content)}
        if within is not None:
            fields["within_ms"] = round(within * 1000)
        return Outcome(self.call("print", fields, key=key))

    def status(self) -> Json:
        """What it reports: paper, cover, drawer, errors."""
        return self.call("status")

    def capabilities(self) -> Json:
        """What it can do; `None` while it is away."""
        return self.call("capabilities")

    def kick_drawer(self, *, key: Optional[str] = None) -> None:
        """Opens the cash drawer."""
        self.call("kick-drawer", key=key)


class Terminal(_Device):
    """A payment terminal."""

    def __init__(self, till: Till, name: str) -> None:
        super().__init__(till, "terminal", name)

    def pay(self, amount: str, *, key: Optional[str] = None) -> Outcome:
        """Takes a payment: `charged`, `partial`, `not-charged` or `unknown`. With a key of your own, asking again is safe:
        the same key is the same payment."""
        return Outcome(self.call("pay", {"amount": amount}, key=key))

    def refund(self, amount: str, *, key: Optional[str] = None) -> Outcome:
        """Gives money back, without reference to a payment."""
        return Outcome(self.call("refund", {"amount": amount}, key=key))

    def reverse(self, charge: Mapping[str, Json], *, key: Optional[str] = None) -> Outcome:
        """Undoes a payment: `charge` are the details of what was `charged`."""
        fields = {"reference": charge["reference"], "amount": charge["amount"]}
        return Outcome(self.call("reverse", fields, key=key))

    def status(self) -> Json:
        """What it reports of itself."""
        return self.call("status")

    def end_of_day(self, *, key: Optional[str] = None) -> Json:
        """Closes its day."""
        return self.call("end-of-day", key=key)

    def capabilities(self) -> Json:
        """What it can do; `None` while it is away."""
        return self.call("capabilities")


class Scanner(_Device):
    """A barcode scanner."""

    def __init__(self, till: Till, name: str) -> None:
        super().__init__(till, "scanner", name)

    def next(self, within: float = 60.0, *, key: Optional[str] = None) -> Optional[Json]:
        """The next scan (its `text`, `symbology`, …), or `None` if there is none within so many seconds. Each scan is handed
        out once."""
        return self.call("next", {"within_ms": round(within * 1000)}, key=key)


class Sale:
    """An open sale. Each step is stored at the till at once; `view` is the sale after the last one."""

    def __init__(self, till: Till, view: Json) -> None:
        self._till = till
        self.view = view

    def __repr__(self) -> str:
        return f"Sale({self.id!r}, {self.view['state']}, due {self.due})"

    @property
    def id(self) -> str:
        """Its id."""
        return self.view["ticket"]["id"]

    @property
    def due(self) -> str:
        """What is still to be paid: "7.60 EUR"."""
        return self.view["due"]

    def add(self, name: str, price: str, vat: Union[str, int, decimal.Decimal], count: int = 1, **more: Json) -> "Sale":
        """Adds pieces of an article: the price of one with its tax, and the rate of the tax in percent. `more` are the
        further fields of a line: `article`, `group`, `tax_key`, `tax_text`."""
        each, currency = _amount(price)
        return self._add(name, {"pieces": count}, price, vat, f"{each * count} {currency}", more)

    def weigh(
        self, name: str, grams: int, per_kilogram: str, vat: Union[str, int, decimal.Decimal], **more: Json
    ) -> "Sale":
        """Adds goods by weight, rounded to the currency's smallest unit, halves away from zero."""
        each, currency = _amount(per_kilogram)
        total = (each * grams / 1000).quantize(each, decimal.ROUND_HALF_UP)
        return self._add(name, {"grams": grams}, per_kilogram, vat, f"{total} {currency}", more)

    def _add(self, name: str, quantity: Json, price: str, vat: Any, total: str, more: Mapping[str, Json]) -> "Sale":
        line = {"name": name, "quantity": quantity, "unit_price": price, "vat": _vat(vat), "total": total, **more}
        self.step("add", {"line": line})
        return self

    def remove(self, at: int) -> "Sale":
        """Removes a line by its index, from 0."""
        self.step("remove", {"at": at})
        return self

    def pay_card(self, terminal: str, amount: Optional[str] = None) -> Outcome:
        """Pays what is due, or a part of it, at a terminal: as `Terminal.pay`."""
        return Outcome(self.step("pay-card", {"terminal": terminal, "amount": amount})["payment"])

    def pay_cash(self, given: str) -> str:
        """Takes cash, and returns the change."""
        return self.step("pay-cash", {"given": given})["back"]

    def close(self, printer: str, drawer: Optional[str] = None) -> Outcome:
        """Closes the paid sale and prints its receipt: `closed`, or `open` if something is still due."""
        return Outcome(self.step("close", {"printer": printer, "drawer": drawer})["sold"])

    def void(self, why: str) -> "Sale":
        """Voids the sale before it is paid."""
        self.step("void", {"why": why})
        return self

    def step(self, name: str, fields: Optional[Mapping[str, Json]] = None) -> Json:
        """Takes any step, `sale.NAME`, from the revision that is known here: if another station has changed the sale since,
        nothing happens and the error is of kind `busy`; `refresh` then reads it again."""
        given = {field: value for field, value in (fields or {}).items() if value is not None}
        reply = self._till.call(f"sale.{name}", {"sale": self.id, "rev": self.view["rev"], **given})
        self.view = reply if "rev" in reply else reply["sale"]
        return reply

    def refresh(self) -> "Sale":
        """Reads it again."""
        self.view = self._till.sale(self.id).view
        return self


class Events:
    """The events of a till, in order, as they come: an iterator that waits. It goes on when the connection was lost.

    Each is a dictionary with `seq`, `at`, `source` and `kind`. Where some were lost, because the connection was away for too
    long or they were not taken, `{"missed": {"from": …, "to": …}}` comes instead; after a restart of the till it has the
    `devices` as they are now.
    """

    def __init__(self, leave: Callable[["Events"], None]) -> None:
        self.devices: List[Json] = []
        """The devices before the first event."""
        self._leave = leave
        self._news = threading.Condition()
        self._queue: "collections.deque[Json]" = collections.deque()
        self._ended = False
        self._error: Optional[Error] = None

    def __enter__(self) -> "Events":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __iter__(self) -> Iterator[Json]:
        return self

    def __next__(self) -> Json:
        event = self.next()
        if event is None:
            raise StopIteration
        return event

    def next(self, timeout: Optional[float] = None) -> Optional[Json]:
        """The next event; `None` after so many seconds without one, or because this or the till was closed.

        Raises `Error` of kind `permission` if the till does not let this caller in any more.
        """
        with self._news:
            self._news.wait_for(lambda: self._queue or self._ended, timeout)
            if self._queue:
                return self._queue.popleft()
            if self._error:
                raise self._error.copy()
            return None

    def close(self) -> None:
        """Ends it, also for a thread that waits."""
        self._leave(self)
        self._end(None)

    def _put(self, event: Json) -> None:
        with self._news:
            if len(self._queue) == QUEUED:
                self._drop()
            self._queue.append(event)
            self._news.notify()

    def _drop(self) -> None:
        """Makes one entry of the two oldest: that they were missed."""
        first, second = _numbers(self._queue.popleft()), _numbers(self._queue.popleft())
        self._queue.appendleft({"missed": {"from": first[0], "to": second[1]}})

    def _end(self, error: Optional[Error]) -> None:
        with self._news:
            self._ended, self._error = True, error
            self._news.notify_all()


def _numbers(event: Json) -> Tuple[int, int]:
    missed = event.get("missed")
    return (missed["from"], missed["to"]) if missed else (event["seq"], event["seq"])


class _Pending:
    """A call without an answer."""

    def __init__(self, request: Dict[str, Json], taken: Optional[Callable[[Json], None]] = None) -> None:
        self.request = request
        self.since = time.monotonic()
        self.taken = taken
        self.done = threading.Event()
        self.on: Optional[_WebSocket] = None
        self.sent = 0
        self.reply: Json = None
        self.error: Optional[Error] = None

    def send_on(self, websocket: "Optional[_WebSocket]") -> None:
        if websocket:
            self.on, self.sent = websocket, self.sent + 1

    def fail(self, error: Error) -> None:
        self.error = error
        self.done.set()

    def may_repeat(self) -> bool:
        """Whether a till that was restarted, and has forgotten the keys of its calls, may be asked again."""
        return self.request["command"] in READS or self.request["command"] in DURABLE

    def lost(self, what: str, kind: str = "closed") -> Error:
        key = self.request.get("key")
        hint = f"repeat it with the key `{key}`" if key else None
        effect = "unknown" if self.on and self.request["command"] not in READS else "none"
        if effect == "unknown" and not self.may_repeat():
            # The till may have been restarted, and knows the key no more.
            return Error(kind, what, effect=effect, retry="never", hint="look at the till whether it was done")
        return Error(kind, what, effect=effect, retry="after-reconnect", hint=hint)


class _Connection:
    """Connects, reads, and connects again; calls of all threads go through it."""

    def __init__(self, address: "_Address", patience: float) -> None:
        self._address = address
        self._patience = patience
        self._lock = threading.RLock()
        self._pending: Dict[int, _Pending] = {}
        self._last_id = 0
        self._followers: List[Events] = []
        self._follow: Optional[_Pending] = None
        self._seen: Optional[int] = None
        self._run_seen: Optional[str] = None
        self._run: Optional[str] = None
        self._closed = threading.Event()
        self._fault: Optional[Error] = None
        self._socket: Optional[_WebSocket] = None
        self._lost = time.monotonic()
        self._renewed = time.monotonic()
        first, self.welcome = self._open()
        self._thread = threading.Thread(target=self._work, args=(first,), name="tresen", daemon=True)
        self._thread.start()

    def call(self, request: Dict[str, Json], timeout: Optional[float]) -> Json:
        pending = self._send(_Pending(request))
        if not pending.done.wait(timeout):
            with self._lock:
                self._pending.pop(pending.request["id"], None)
            if not pending.done.is_set():
                raise pending.lost(f"no answer within {timeout} s", "timeout")
        if pending.error:
            raise pending.error
        return pending.reply

    def follow(self) -> Events:
        events = Events(self._leave)
        with self._lock:
            self._followers.append(events)
            first = self._follow is None
            if first:
                self._follow = _Pending({"command": "follow"}, self._followed)
        try:
            if first:
                pending = self._send(self._follow)
                pending.done.wait()
                if pending.error:
                    raise pending.error
                events.devices = pending.reply["devices"]
            else:
                events.devices = self.call({"command": "till.snapshot"}, None)["devices"]
        except BaseException:
            self._leave(events)
            if first:
                with self._lock:
                    self._follow = None
            raise
        return events

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            websocket = self._socket
        if websocket:
            websocket.close(1000)
        if threading.current_thread() is not self._thread:
            self._thread.join(DEAD)
        self._end(Error("closed", "the connection was closed", effect="unknown"))

    def _send(self, pending: _Pending) -> _Pending:
        with self._lock:
            if self._fault:
                raise self._fault.copy()
            self._last_id += 1
            pending.request = {"id": self._last_id, **pending.request}
            text = _encode(pending.request)
            self._pending[self._last_id] = pending
            websocket = self._socket
            pending.send_on(websocket)
        if websocket:
            websocket.try_send(text)
        return pending

    def _work(self, first: "_WebSocket") -> None:
        websocket: Optional[_WebSocket] = first
        backoff = BACKOFF
        while not self._closed.is_set():
            try:
                if websocket is None:
                    websocket, self.welcome = self._open()
                backoff = BACKOFF
                self._resume(websocket)
                while True:
                    self._take(websocket.receive())
            except Error as error:
                if error.kind in FATAL and not self._closed.is_set():
                    self._end(error)
                    return
            except Exception as defect:  # noqa: BLE001: whoever waits has to hear of it
                self._end(Error("protocol", f"the client failed: {defect!r}", effect="unknown"))
                return
            finally:
                if websocket:
                    websocket.release()
                    websocket = None
                    self._lost = time.monotonic()
                with self._lock:
                    self._socket = None
            self._give_up()
            self._closed.wait(backoff)
            backoff = min(backoff * 2, BACKOFF_AT_MOST)

    def _open(self) -> "Tuple[_WebSocket, Json]":
        """Connects and introduces itself."""
        websocket = self._address.open()
        try:
            hello: Dict[str, Json] = {"protocol": PROTOCOL}
            if self._address.token is not None:
                hello["token"] = self._address.token
            websocket.try_send(_encode({"hello": hello}))
            welcome = _decode(websocket.receive())
            if "error" in welcome:
                raise Error.from_json(welcome["error"])
            if welcome.get("protocol") != PROTOCOL:
                what = f"the till uses protocol version {welcome.get('protocol')}, this program version {PROTOCOL}"
                raise Error("unsupported", what)
            websocket.settimeout(DEAD)
            websocket.asked = self._renew
            return websocket, welcome
        except BaseException:
            websocket.release()
            raise

    def _resume(self, websocket: "_WebSocket") -> None:
        """Sends what was not answered on a new connection, oldest first, and follows again."""
        with self._lock:
            self._socket = websocket
            restarted = self._run not in (None, self.welcome.get("run"))
            self._run = self.welcome.get("run")
            lost = [id for id, call in self._pending.items() if restarted and call.sent and not call.may_repeat()]
            failed = [self._pending.pop(id) for id in lost]
            if self._follow and self._follow.done.is_set() and self._follow.error is None:
                self._last_id += 1
                resume = {"since": self._seen, "run": self._run_seen}
                request = {"id": self._last_id, "command": "follow", "with": resume}
                self._pending[self._last_id] = _Pending(request, self._followed)
            waiting = [pending for _, pending in sorted(self._pending.items())]
            for pending in waiting:
                pending.send_on(websocket)
        for pending in failed:
            what, hint = "the till was restarted before it answered", "look whether it was done"
            pending.fail(Error("closed", what, effect="unknown", hint=hint))
        for pending in waiting:
            websocket.try_send(_encode(pending.request))

    def _renew(self) -> None:
        """Gets another token when the one in use is some minutes old."""
        if self._address.token is None or time.monotonic() - self._renewed < RENEWAL:
            return
        self._renewed = time.monotonic()

        def taken(reply: Json) -> None:
            self._address.token = reply["token"]

        self._send(_Pending({"command": "session.renew", "key": uuid.uuid4().hex}, taken))

    def _take(self, text: str) -> None:
        message = _decode(text)
        if message.get("id") is not None:
            with self._lock:
                pending = self._pending.pop(message["id"], None)
            if pending is None:
                return
            if "error" in message:
                error = Error.from_json(message["error"])
                pending.fail(error)
                if pending.request["command"] == "follow" and pending is not self._follow:
                    self._end_followers(error)
                return
            pending.reply = message.get("reply")
            if pending.taken:
                pending.taken(pending.reply)
            pending.done.set()
        elif "event" in message:
            event = message["event"]
            with self._lock:
                if self._seen is not None and event["seq"] <= self._seen:
                    return
                self._seen = event["seq"]
            self._publish(event)
        elif "missed" in message:
            with self._lock:
                self._seen = message["missed"]["to"]
            self._publish(message)
        elif "error" in message:
            raise Error.from_json(message["error"])

    def _followed(self, reply: Json) -> None:
        """Events follow from here on, with those that were missed first."""
        missed = reply.get("missed")
        with self._lock:
            again, self._run_seen = self._run_seen == self.welcome.get("run"), self.welcome.get("run")
            if self._seen is None or not again:
                self._seen = reply["seq"]
            if missed:
                self._seen = max(self._seen, missed["to"])
        if missed:
            news = {"missed": missed}
            if not again:
                news["devices"] = reply["devices"]
            self._publish(news)

    def _publish(self, event: Json) -> None:
        with self._lock:
            followers = list(self._followers)
        for follower in followers:
            follower._put(event)

    def _leave(self, events: Events) -> None:
        with self._lock:
            if events in self._followers:
                self._followers.remove(events)

    def _give_up(self) -> None:
        """Answers those who have waited long enough for a connection."""
        now = time.monotonic()
        with self._lock:
            late = [id for id, call in self._pending.items() if now - max(call.since, self._lost) > self._patience]
            late += [id for id, call in self._pending.items() if call.sent > SENT and id not in late]
            given_up = [self._pending.pop(id) for id in late]
        for pending in given_up:
            away = pending.sent <= SENT
            what = f"the till was away for {self._patience:g} s" if away else f"the connection was lost {SENT} times"
            pending.fail(pending.lost(what))

    def _end(self, error: Error) -> None:
        """Answers everybody; no more calls are taken."""
        with self._lock:
            if self._fault:
                return
            self._fault = error
            pendings, followers = list(self._pending.values()), list(self._followers)
            self._pending.clear()
        for pending in pendings:
            ended = error.copy()
            ended.effect = "unknown" if pending.on else "none"
            pending.fail(ended)
        for follower in followers:
            follower._end(None if self._closed.is_set() else error)

    def _end_followers(self, error: Error) -> None:
        """Following is not allowed any more."""
        with self._lock:
            followers, self._followers, self._follow = self._followers, [], None
        for follower in followers:
            follower._end(error)


class _Address:
    """Where a till is, and how it is known."""

    def __init__(self, url: Optional[str], identity: Any, ca: Any, verify: bool = True) -> None:
        about = _about(identity) if identity is not None else {}
        url = url or about.get("url")
        parts = urllib.parse.urlsplit(url or "")
        try:
            port = parts.port
        except ValueError:
            port = 0
        if parts.scheme not in ("ws", "wss") or not parts.hostname or port == 0:
            raise Error("address", f"`{url}` is no address of a till", hint="write wss://HOST:PORT")
        self.host = parts.hostname
        self.port = port or (7443 if parts.scheme == "wss" else 7480)
        self.where = f"{parts.scheme}://{parts.netloc}"
        self.token: Optional[str] = None
        self.context: Optional[ssl.SSLContext] = None
        # A till is known by its own authority and its id, whatever its address is.
        self.name = f"{about['till']}.tresen.internal" if about else self.host
        if parts.scheme == "wss":
            self.context = _context(identity, ca, verify)
        elif identity is not None:
            raise Error("config", "an identity needs wss://")
        elif not _is_this_machine(self.host):
            raise Error("config", "ws:// is not encrypted", hint="only a till on this machine is asked that way; use wss://")

    def open(self) -> "_WebSocket":
        return self._connected(lambda stream: _WebSocket(stream, self.authority))

    def exchange(self) -> "_Http":
        return self._connected(lambda stream: _Http(stream, self.authority))

    def ask(self, method: str, path: str, body: Json = None) -> Tuple[Json, bytes]:
        """One request over plain HTTP, and the certificate of the till."""
        with self.exchange() as till:
            return till.ask(method, path, body), till.certificate

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def _connected(self, use: Callable[[Any], Any]) -> Any:
        try:
            raw = socket.create_connection((self.host, self.port), OPENING)
        except OSError as error:
            raise _unreachable(error, self.where) from error
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return use(_Tls(raw, self.context, self.name) if self.context else raw)
        except ssl.SSLCertVerificationError as error:
            raw.close()
            hint = "is it another till, or was it set up anew? then join it again"
            causes = [error.verify_message]
            raise Error("permission", "this is not the expected till", device=self.where, hint=hint, causes=causes) from error
        except OSError as error:
            raw.close()
            raise _unreachable(error, self.where) from error
        except BaseException:
            raw.close()
            raise


def _about(identity: Any) -> Dict[str, Json]:
    path = pathlib.Path(identity) / "till.json"
    try:
        about = json.loads(path.read_text("utf-8"))
        return {name: str(about[name]) for name in ("till", "url")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = "`tresen join` makes an identity"
        raise Error("config", "is no identity", device=str(identity), hint=hint, causes=[str(error)]) from error


def _context(identity: Any, ca: Any, verify: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    try:
        if identity is not None:
            ca = pathlib.Path(identity) / "ca.pem"
            context.load_cert_chain(pathlib.Path(identity) / "client.pem")
        if ca is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        where = str(identity if identity is not None else ca)
        raise Error("config", "cannot be read", device=where, hint="`tresen join` makes an identity",
                    causes=[str(error)]) from error
    return context


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _unreachable(error: OSError, where: str) -> Error:
    if _is_refusal(error):
        return _gone(error)
    kind = "not-found"
    if isinstance(error, (socket.timeout, TimeoutError)):
        kind = "timeout"
    elif isinstance(error, ConnectionRefusedError):
        kind = "refused"
    elif isinstance(error, (ConnectionError, ssl.SSLError)):
        kind = "closed"
    hint = "does `tresen serve` run there, and is the address right?"
    return Error(kind, "no till answers", device=where, retry="now", hint=hint, causes=[str(error)])


def _key(openssl: str) -> Tuple[str, str]:
    """A new key (P-256), and a request for a certificate (PKCS #10), both PEM. The till chooses the subject."""
    make = [openssl, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    key = _run(make, "")
    # From standard input: the key is never in a file that others could read.
    return key, _run([openssl, "req", "-new", "-key", "/dev/stdin", "-subj", "/"], key)


def _run(command: List[str], text: str) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise Error("io", f"`{' '.join(command[:2])}` has failed", causes=[done.stderr.strip()[-300:]])
    return done.stdout


def _der(pem: str) -> bytes:
    lines = [line.strip() for line in pem.strip().splitlines()]
    try:
        begin = next(at for at, line in enumerate(lines) if line.startswith("-----BEGIN"))
        end = next(at for at, line in enumerate(lines) if line.startswith("-----END"))
        return base64.b64decode("".join(lines[begin + 1 : end]), validate=True)
    except (StopIteration, ValueError) as error:
        raise _violation("a certificate is not PEM") from error


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _proof(secret: bytes, *parts: bytes) -> bytes:
    return hmac.new(secret, b"".join(parts), hashlib.sha256).digest()


class _Http:
    """One connection for plain requests."""

    def __init__(self, stream: Any, authority: str) -> None:
        self._stream, self._authority = stream, authority
        self.certificate: bytes = getattr(stream, "certificate", b"")

    def __enter__(self) -> "_Http":
        return self

    def __exit__(self, *_: Any) -> None:
        self._stream.close()

    def ask(self, method: str, path: str, body: Json = None) -> Json:
        content = b"" if body is None else _encode(body)
        head = [
            f"{method} {path} HTTP/1.1",
            f"Host: {self._authority}",
            "Content-Type: application/json",
            f"Content-Length: {len(content)}",
        ]
        self._stream.sendall("\r\n".join(head).encode("ascii") + b"\r\n\r\n" + content)
        reader = _Reader(self._stream)
        status, headers = reader.head()
        answer = reader.body(headers)
        if status != 200:
            raise _refusal(status, answer)
        return _decode(answer.decode("utf-8", "replace"))


class _Reader:
    """Bytes of a stream, as many as are wanted."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._buffer = b""

    def head(self) -> Tuple[int, Dict[str, str]]:
        """Status and headers of a response."""
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > HEADERS:
                raise _violation("the headers of a response are too long")
            self._more()
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        first, *rest = head.decode("latin-1").split("\r\n")
        words = first.split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            raise _violation("what answers here is no till")
        headers = (line.split(":", 1) for line in rest if ":" in line)
        return int(words[1]), {name.strip().lower(): value.strip() for name, value in headers}

    def body(self, headers: Mapping[str, str]) -> bytes:
        """The body of a response of stated length, as a till sends them."""
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > HEADERS:
            raise _violation("a response that is too long")
        return self.take(int(length))

    def take(self, size: int) -> bytes:
        if len(self._buffer) < size:
            parts, have = [self._buffer], len(self._buffer)
            self._buffer = b""
            while have < size:
                self._more()
                parts.append(self._buffer)
                have += len(self._buffer)
                self._buffer = b""
            self._buffer = b"".join(parts)
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _more(self) -> None:
        try:
            data = self._stream.recv(65536)
        except (OSError, ValueError) as error:
            raise _gone(error) from error
        if not data:
            raise Error("closed", "the connection to the till was lost", effect="unknown", retry="after-reconnect")
        self._buffer += data


def _refusal(status: int, answer: bytes) -> Error:
    """The error in a response."""
    try:
        error = json.loads(answer)
        if "kind" in error:
            return Error.from_json(error)
    except (ValueError, TypeError):
        pass
    kind = {401: "permission", 403: "permission", 429: "busy", 503: "busy"}.get(status, "unsupported")
    hint = "is the address right, and is the till served by `tresen serve`?"
    return Error(kind, f"the till answers with HTTP status {status}", retry="now", hint=hint)


class _Tls:
    """TLS over a socket, for one thread that reads and any that write: Python's own wrapper is not safe for both."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._raw = raw
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._state = threading.Lock()
        self._order = threading.Lock()
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
            except ssl.SSLError:
                # The till learns why.
                self._flush()
                raise
        self._flush()
        self.certificate = self._tls.getpeercert(binary_form=True) or b""

    def recv(self, size: int) -> bytes:
        while True:
            with self._state:
                try:
                    return self._tls.read(size)
                except ssl.SSLWantReadError:
                    answer = self._outgoing.pending > 0
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    return b""
            if answer:
                self._flush()
            self._feed()

    def sendall(self, data: bytes) -> None:
        with self._order:
            with self._state:
                self._tls.write(data)
                ready = self._outgoing.read()
            self._raw.sendall(ready)

    def settimeout(self, timeout: Optional[float]) -> None:
        self._raw.settimeout(timeout)

    def shutdown(self, how: int) -> None:
        self._raw.shutdown(how)

    def close(self) -> None:
        self._raw.close()

    def _feed(self) -> None:
        data = self._raw.recv(65536)
        with self._state:
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    def _flush(self) -> None:
        with self._order:
            with self._state:
                ready = self._outgoing.read()
            if ready:
                self._raw.sendall(ready)


class _WebSocket:
    """The client's side of a WebSocket: RFC 6455, without extensions. Binary messages are refused."""

    def __init__(self, stream: Any, authority: str) -> None:
        self._stream = stream
        self._reader = _Reader(stream)
        self._writing = threading.Lock()
        # Called when the till asks whether this end is alive: every 10 s.
        self.asked: Callable[[], None] = lambda: None
        self._handshake(authority)

    def _handshake(self, authority: str) -> None:
        nonce = base64.b64encode(os.urandom(16)).decode()
        lines = [
            "GET /v1/ws HTTP/1.1",
            f"Host: {authority}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {nonce}",
            "Sec-WebSocket-Version: 13",
        ]
        self._stream.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
        status, headers = self._reader.head()
        if status != 101:
            raise _refusal(status, self._reader.body(headers))
        if headers.get("sec-websocket-accept") != _accept(nonce):
            raise _violation("the answer to the handshake belongs to another one")

    def settimeout(self, timeout: float) -> None:
        self._stream.settimeout(timeout)

    def try_send(self, text: bytes) -> None:
        """Sends a message; a broken connection is noticed by whoever reads."""
        try:
            self._frame(TEXT, text)
        except OSError:
            self.drop()

    def receive(self) -> str:
        """The next message. Raises `Error` of kind `closed` or `timeout` when the connection is gone."""
        message = b""
        begun = False
        while True:
            final, opcode, data = self._next()
            if opcode == PING:
                self._answer(PONG, data)
                self.asked()
            elif opcode == CLOSE:
                self._closed(data)
            elif opcode != PONG:
                if begun != (opcode == CONTINUATION) or opcode == BINARY:
                    raise _violation("a frame of the wrong kind")
                begun = True
                message += data
                if len(message) > MESSAGE:
                    raise _violation(f"a message exceeds {MESSAGE} bytes")
                if final:
                    try:
                        return message.decode("utf-8")
                    except UnicodeDecodeError as error:
                        raise _violation("a message is not UTF-8") from error

    def _answer(self, opcode: int, data: bytes) -> None:
        try:
            self._frame(opcode, data)
        except OSError as error:
            raise _gone(error) from error

    def close(self, code: int) -> None:
        """Says goodbye and hangs up."""
        try:
            self._frame(CLOSE, code.to_bytes(2, "big"))
        except OSError:
            pass
        self.drop()

    def drop(self) -> None:
        """Hangs up; a thread that reads gets an error."""
        try:
            self._stream.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def release(self) -> None:
        """Hangs up for good; only for the thread that reads, so that no other reads from what takes its place."""
        self.drop()
        self._stream.close()

    def _closed(self, data: bytes) -> None:
        code = int.from_bytes(data[:2], "big") if len(data) >= 2 else 1005
        self.close(1000 if code == 1005 else code)
        why = data[2:].decode("utf-8", "replace") or "it does not say why"
        kind = "permission" if code == 1008 else "closed"
        raise Error(kind, f"the till closed the connection ({code}): {why}", effect="unknown", retry="after-reconnect")

    def _next(self) -> Tuple[bool, int, bytes]:
        first, second = self._reader.take(2)
        opcode, length = first & 0x0F, second & 0x7F
        if first & 0x70 or second & 0x80 or opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise _violation("a frame with reserved bits, a mask or an unknown opcode")
        if opcode >= CLOSE and (length > 125 or not first & 0x80):
            raise _violation("a control frame that is long or in parts")
        if length == 126:
            length = int.from_bytes(self._reader.take(2), "big")
        elif length == 127:
            length = int.from_bytes(self._reader.take(8), "big")
        if length > MESSAGE:
            raise _violation(f"a frame exceeds {MESSAGE} bytes")
        return bool(first & 0x80), opcode, self._reader.take(length)

    def _frame(self, opcode: int, data: bytes) -> None:
        frame = _masked(opcode, data, os.urandom(4))
        with self._writing:
            self._stream.sendall(frame)


def _masked(opcode: int, data: bytes, mask: bytes) -> bytes:
    """A final frame, masked as those of a client have to be: RFC 6455, section 5.2."""
    size = len(data)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 1 << 16:
        length = bytes([0x80 | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([0x80 | 127]) + size.to_bytes(8, "big")
    key = (mask * (size // 4 + 1))[:size]
    hidden = (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
    return bytes([0x80 | opcode]) + length + mask + hidden


def _accept(nonce: str) -> str:
    """What a server answers to a nonce: RFC 6455, section 4.2.2."""
    digest = hashlib.sha1((nonce + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode("ascii")).digest()
    return base64.b64encode(digest).decode()


def _violation(what: str) -> Error:
    return Error("protocol", what, effect="unknown", device="the till")


def _is_refusal(error: Exception) -> bool:
    """Whether the till's TLS says that it does not want this certificate."""
    reason = (getattr(error, "reason", None) or "").upper()
    return "ALERT" in reason and any(word in reason for word in ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED"))


def _gone(error: Exception) -> Error:
    if _is_refusal(error):
        hint = "is it revoked or too old? then join again"
        return Error("permission", "the till does not accept the certificate", hint=hint, causes=[str(error)])
    if isinstance(error, (socket.timeout, TimeoutError)):
        return Error("timeout", f"nothing came from the till for {DEAD:g} s", effect="unknown", retry="after-reconnect")
    what = "the connection to the till was lost"
    return Error("closed", what, effect="unknown", retry="after-reconnect", causes=[str(error)])


def _encode(message: Json) -> bytes:
    try:
        text = json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8")
    except (TypeError, ValueError) as error:
        raise Error("input", "cannot be written as JSON", causes=[str(error)]) from error
    if len(text) > REQUEST:
        raise Error("input", f"a request is limited to {REQUEST} bytes")
    return text


def _decode(text: str) -> Dict[str, Json]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _violation("a message is not JSON") from error
    if not isinstance(message, dict):
        raise _violation("a message is no object")
    return message


def _content(content: Json) -> Json:
    """What a job prints, from what a program has at hand."""
    if isinstance(content, (bytes, bytearray)):
        return {"v": 1, "raw": {"language": "escpos", "bytes": base64.b64encode(content).decode()}}
    if isinstance(content, dict):
        return content
    items = [content] if isinstance(content, str) else content
    return {"v": 1, "receipt": {"items": [{"type": "text", "text": i} if isinstance(i, str) else i for i in items]}}


def _amount(text: str) -> Tuple[decimal.Decimal, str]:
    try:
        number, currency = text.split()
        return decimal.Decimal(number), currency
    except (AttributeError, ValueError, decimal.InvalidOperation) as error:
        raise Error("input", f"`{text}` is no amount", hint='write "3.80 EUR"') from error


def _vat(percent: Union[str, int, decimal.Decimal]) -> int:
    """Hundredths of a percent."""
    try:
        points = decimal.Decimal(str(percent)) * 100
        if points == int(points):
            return int(points)
    except (decimal.InvalidOperation, ValueError, OverflowError):
        pass
    raise Error("input", f"`{percent}` is no tax rate", hint='write percent: 19 or "7.7"')


CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
# A till refuses longer requests; its listings may be longer than that.
REQUEST, MESSAGE, HEADERS = 1 << 20, 64 << 20, 1 << 16
# Seconds. The till sends a ping every 10 s, and its tokens live for 15 minutes.
OPENING, DEAD, BACKOFF, BACKOFF_AT_MOST, RENEWAL = 10.0, 25.0, 0.25, 5.0, 300.0
# Of the key that a one-time code stands for.
ROUNDS = 200_000
# How often a caller tries to join while others do in the same second.
ATTEMPTS = 10
# How often a call is sent again before it is given up.
SENT = 5
# Events that wait to be taken.
QUEUED = 10_000
# Nothing gets better by connecting again.
FATAL = ("permission", "unsupported", "protocol")
# Commands that change nothing, and those whose key the till stores: a restarted till may be asked again.
READS = frozenset(
    """
    abort follow camera.capabilities camera.frame lease.list lease.queue lease.renew printer.capabilities printer.find
    printer.identity printer.outcome printer.phase printer.picture printer.preview printer.status remote.audit remote.clients sale.by-number sale.find sale.list-closed
    sale.list-open sale.list-parked sale.orders sale.refresh sale.returnable sale.since scanner.capabilities
    terminal.capabilities terminal.find terminal.open terminal.questions terminal.serving terminal.status terminal.totals
    till.accounts-in-doubt till.capabilities till.commands till.export till.health till.info till.jobs till.journal
    till.new-id till.open-jobs till.payments till.phase till.printer-for till.recent-events till.reference
    till.reference-row till.refresh-reference till.snapshot till.sync till.unbooked
    """.split()
)
DURABLE = frozenset(
    """
    printer.print printer.submit sale.add sale.add-tip sale.give-back sale.open sale.open-refund sale.pay-account
    sale.pay-card sale.pay-cash sale.pay-other sale.pay-out sale.return-line sale.reverse-card terminal.book
    terminal.increment terminal.pay terminal.pre-authorise terminal.refund terminal.release terminal.reverse
    terminal.tip terminal.top-up terminal.try-pay
    """.split()
)

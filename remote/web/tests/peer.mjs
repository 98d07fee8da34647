// A till's side of the protocol, written by hand: RFC 6455 framing over node:net, and messages as a test wants them.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";

/** One connection of the page. */
class Connection {
  #bytes = Buffer.alloc(0);
  #messages = [];
  #waiting = [];

  constructor(socket) {
    this.socket = socket;
    socket.on("data", (bytes) => this.#read(bytes));
    socket.on("error", () => {});
    socket.on("close", () => this.#push(null));
  }

  /** The next message of the page; `null` when it has closed. */
  next() {
    if (this.#messages.length > 0) return Promise.resolve(this.#messages.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Sends a text message. RFC 6455, 5.2: FIN and opcode 1, the length, no mask. */
  send(message) {
    const text = Buffer.from(typeof message === "string" ? message : JSON.stringify(message));
    const head = text.length < 126 ? Buffer.from([0x81, text.length]) : Buffer.alloc(4);
    if (text.length >= 126) {
      head.set([0x81, 126]);
      head.writeUInt16BE(text.length, 2);
    }
    this.socket.write(Buffer.concat([head, text]));
  }

  /** A close frame with a code, and the end of the link. */
  close(code) {
    this.socket.end(Buffer.from([0x88, 2, code >> 8, code & 255]));
  }

  /** Cuts the link without a word. */
  cut() {
    this.socket.destroy();
  }

  #push(message) {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(message);
    else this.#messages.push(message);
  }

  #read(bytes) {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    for (;;) {
      const buffer = this.#bytes;
      if (buffer.length < 6) return;
      const short = buffer[1] & 0x7f;
      const start = short === 126 ? 4 : 2;
      const length = short === 126 ? buffer.readUInt16BE(2) : short;
      if (buffer.length < start + 4 + length) return;
      const mask = buffer.subarray(start, start + 4);
      const payload = Buffer.from(buffer.subarray(start + 4, start + 4 + length).map((byte, at) => byte ^ mask[at % 4]));
      this.#bytes = buffer.subarray(start + 4 + length);
      if ((buffer[0] & 15) === 1) this.#push(JSON.parse(payload.toString()));
    }
  }
}

/** A till that listens on loopback. */
export class Peer {
  #connections = [];
  #waiting = [];
  #links = [];
  requests = [];
  sessions = [];

  static async start() {
    const peer = new Peer();
    peer.server = createServer(async (request, reply) => {
      let body = "";
      for await (const part of request) body += part;
      peer.requests.push({ method: request.method, url: request.url, headers: request.headers, body });
      const [status, answer] = peer.sessions.shift() ?? [404, {}];
      reply.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer));
    });
    peer.server.on("upgrade", (request, socket) => {
      // RFC 6455, 4.2.2
      const key = request.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
      const accept = createHash("sha1").update(key).digest("base64");
      const lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"];
      socket.write([...lines, `Sec-WebSocket-Accept: ${accept}`, "", ""].join("\r\n"));
      const connection = new Connection(socket);
      peer.#links.push(socket);
      const waiting = peer.#waiting.shift();
      if (waiting) waiting(connection);
      else peer.#connections.push(connection);
    });
    peer.server.listen(0, "127.0.0.1");
    await once(peer.server, "listening");
    peer.url = `http://127.0.0.1:${peer.server.address().port}`;
    return peer;
  }

  /** The next connection. */
  accept() {
    if (this.#connections.length > 0) return Promise.resolve(this.#connections.shift());
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** The next connection, let in. */
  async welcome(more = {}) {
    const connection = await this.accept();
    const hello = await connection.next();
    connection.send({ ...GREETING, ...more });
    return Object.assign(connection, { hello });
  }

  stop() {
    this.#links.forEach((link) => link.destroy());
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** As the module documentation of `remote/src/wire` has it. */
const GREETING = {
  tresen: "0.1.0",
  protocol: 1,
  till: "0198",
  name: "Till 1",
  run: "run-1",
  you: "kiosk",
  rights: "watch print:bar pay:counter",
};

/**
 * The sockets: node:net as a transport of the server core.
 */
import { type AddressInfo, createServer, type Server as NetServer, Socket, type SocketConstructorOpts } from "node:net";
import type { Bytes } from "../bytes.ts";
import { UsageError } from "../errors.ts";
import type { Connection } from "./connection.ts";
import type { Server } from "./server.ts";
import type { Transport } from "./transport.ts";

class SocketTransport implements Transport {
  readonly address: string;
  readonly localAddress: string;
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.address = `${bracketed(socket.remoteAddress)}:${socket.remotePort ?? 0}`;
    this.localAddress = `${bracketed(socket.localAddress)}:${socket.localPort ?? 0}`;
  }

  get pendingBytes(): number {
    return this.#socket.writableLength;
  }

  get backlogged(): boolean {
    return this.#socket.writableNeedDrain;
  }

  write(output: Bytes): void {
    this.#socket.write(output, "latin1");
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  end(): void {
    this.#socket.destroySoon();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** IPv6 addresses are written in brackets before a port. */
function bracketed(address: string | undefined): string {
  if (address === undefined) return "?";
  return address.includes(":") ? `[${address}]` : address;
}

/** What all sockets read into: a chunk is parsed before the next one is read, so that one buffer serves them all. */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

/** The undocumented half of node:net that a server needs in order to choose its read buffer. */
interface WithHandle {
  _handle?: object | null;
}

/**
 * Makes the accepted socket anew with a read buffer of ours (`onread`), which node:net offers only to sockets that connect.
 * Without it every read allocates 64 KiB and shrinks them again: a tenth of the time of an unpipelined GET, and garbage.
 * Should a version of Node hide the handle, the accepted socket serves as it is.
 */
function withReadBuffer(accepted: Socket, receive: (chunk: Buffer, length: number) => void): Socket {
  const handle = (accepted as unknown as WithHandle)._handle;
  if (handle === undefined || handle === null) {
    return accepted.on("data", (chunk: Buffer) => receive(chunk, chunk.length));
  }
  const onread = {
    buffer: READ_BUFFER,
    callback(length: number): boolean {
      receive(READ_BUFFER, length);
      return true;
    },
  };
  const socket = new Socket({ handle, allowHalfOpen: true, onread } as SocketConstructorOpts);
  // What is left of the accepted one only has to be taken off node:net's count of connections.
  (accepted as unknown as WithHandle)._handle = null;
  accepted.destroy();
  return socket;
}

function accept(server: Server, accepted: Socket): void {
  let connection: Connection | undefined;
  const socket = withReadBuffer(accepted, (chunk, length) => connection?.receive(chunk, length));
  socket.setNoDelay(true);
  const keepAliveSeconds = server.config.number("tcp-keepalive");
  if (keepAliveSeconds > 0) socket.setKeepAlive(true, keepAliveSeconds * 1000);
  // A reset by the client is an ordinary end; `close` follows.
  socket.on("error", () => {});
  connection = server.connect(new SocketTransport(socket));
  if (connection !== undefined) attach(socket, connection);
}

function attach(socket: Socket, connection: Connection): void {
  socket.on("drain", () => connection.drained());
  // A client that has sent its last request still wants the replies.
  socket.on("end", () => connection.closeAfterReply());
  socket.on("close", () => connection.ended());
  socket.resume();
}

function listenOn(net: NetServer, address: string | undefined, port: number, backlog: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const refuse = (error: NodeJS.ErrnoException) => reject(error);
    net.once("error", refuse);
    net.listen({ ...(address !== undefined && { host: address }), port, backlog }, () => {
      net.off("error", refuse);
      resolve((net.address() as AddressInfo).port);
    });
  });
}

function explain(error: NodeJS.ErrnoException, address: string, port: number): UsageError {
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: "the port is in use",
    EACCES: "no permission",
    EADDRNOTAVAIL: "this machine has no such address",
    ENOTFOUND: "no such host",
  };
  return new UsageError(`cannot listen on ${address} port ${port}: ${reasons[error.code ?? ""] ?? error.message}`);
}

/** The open ports of a server. */
export interface Listener {
  readonly port: number;
  /** Accepts nobody any more. */
  close(): void;
}

/** Listens on every address of `bind`; throws `UsageError` when one that must be there cannot be had. */
export async function listen(server: Server): Promise<Listener> {
  const { config } = server;
  const nets: NetServer[] = [];
  let port = config.number("port");
  const close = () => {
    for (const net of nets) net.close();
  };
  for (const word of config.text("bind").split(/ +/)) {
    const optional = word.startsWith("-");
    const address = optional ? word.slice(1) : word;
    const net = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => accept(server, socket));
    try {
      // The port that the first address got, if any was wanted (port 0), is that of the others, too.
      port = await listenOn(
        net,
        address === "*" || address === "" ? undefined : address,
        port,
        config.number("tcp-backlog"),
      );
      nets.push(net);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (optional && (code === "EADDRNOTAVAIL" || code === "EAFNOSUPPORT")) continue;
      close();
      throw explain(error as NodeJS.ErrnoException, address, port);
    }
    net.on("error", (error) => server.log("warning", `accepting a connection failed: ${error.message}`));
  }
  if (nets.length === 0) throw new UsageError(`cannot listen: none of the addresses of bind exists`);
  server.port = port;
  return { port, close };
}

/**
 * As much of the MySQL client protocol as asking a local server takes: no password, no TLS, text results; and prepared
 * statements without a result.
 *
 *     packet     3 bytes length, 1 byte number, payload
 *     answer     00 … OK | ff … error | column count, a packet per column, EOF, a packet per row, EOF
 *
 * Kept here because what a server tells its client, and when, is what the lab judges: the packets are also recognised in
 * recordings (`isWriteReply`).
 */
import { connect, type Socket } from "node:net";
import { corkForTurn } from "../cork-for-turn.ts";

const CLIENT_FLAGS = 0x1 | 0x200 | 0x8000 | 0x80000; // long password, 4.1 protocol, secure connection, plugin auth
const PACKET_MAX = 0x1000000;
const UTF8MB4 = 45;
const COM_QUERY = 3;
const COM_STMT_PREPARE = 0x16;
const COM_STMT_EXECUTE = 0x17;
const TYPE_VAR_STRING = 0xfd;
const OK = 0x00;
const END = 0xfe;
const ERROR = 0xff;

/** Rows of texts; an empty list for a statement without a result. */
export type Rows = readonly (readonly (string | null)[])[];

export class MysqlError extends Error {}

export class MysqlClient {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  /** Who waits for a packet, in the order in which they asked: statements may be sent before the one before is answered. */
  readonly #waiting: { resolve(packet: Buffer): void; reject(error: Error): void }[] = [];
  #error: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#deliver();
    });
    const end = (error: Error): void => {
      this.#error ??= error;
      for (const { reject } of this.#waiting.splice(0)) reject(this.#error);
    };
    socket.on("error", end);
    socket.on("close", () => end(new MysqlError("the server closed the connection")));
  }

  /** Connects as root, to a socket's path or a local port; throws when nobody listens, or the server refuses. */
  static async open(address: string | number): Promise<MysqlClient> {
    const socket = typeof address === "string" ? connect(address) : connect(address, "127.0.0.1");
    const client = new MysqlClient(socket.setNoDelay());
    await client.#packet();
    const head = Buffer.alloc(32);
    head.writeUInt32LE(CLIENT_FLAGS, 0);
    head.writeUInt32LE(PACKET_MAX, 4);
    head[8] = UTF8MB4;
    client.#send(1, Buffer.concat([head, Buffer.from("root\0\0mysql_native_password\0", "latin1")]));
    let answer = await client.#packet();
    if (answer[0] === END) {
      // Asked for another way to authenticate: an empty password is empty in all of them.
      client.#send(3, Buffer.alloc(0));
      answer = await client.#packet();
    }
    if (answer[0] !== OK) throw new MysqlError(errorText(answer));
    return client;
  }

  /** Sends one statement and waits for its answer. */
  async query(sql: string): Promise<Rows> {
    this.#send(0, Buffer.concat([Buffer.from([COM_QUERY]), Buffer.from(sql, "utf8")]));
    const first = await this.#packet();
    if (first[0] === ERROR) throw new MysqlError(errorText(first));
    if (first[0] === OK) return [];
    while (!isEnd(await this.#packet())) {
      // A column's description: all are texts.
    }
    const rows: (string | null)[][] = [];
    for (let packet = await this.#packet(); !isEnd(packet); packet = await this.#packet()) rows.push(rowOf(packet));
    return rows;
  }

  /** Prepares a statement that has parameters and no result; answers its number. */
  async prepare(sql: string): Promise<number> {
    this.#send(0, Buffer.concat([Buffer.from([COM_STMT_PREPARE]), Buffer.from(sql, "utf8")]));
    const first = await this.#packet();
    if (first[0] === ERROR) throw new MysqlError(errorText(first));
    while (!isEnd(await this.#packet())) {
      // A parameter's description.
    }
    return first.readUInt32LE(1);
  }

  /** Executes it with these values, each shorter than 64 KiB, and waits until it is committed. */
  async execute(statement: number, values: readonly string[]): Promise<void> {
    const head = Buffer.alloc(10);
    head[0] = COM_STMT_EXECUTE;
    head.writeUInt32LE(statement, 1);
    head.writeUInt32LE(1, 6);
    const noNulls = Buffer.alloc((values.length + 7) >> 3);
    const types = Buffer.from([1, ...values.flatMap(() => [TYPE_VAR_STRING, 0])]);
    const texts = values.map((value) => lengthOf(value) + value).join("");
    this.#send(0, Buffer.concat([head, noNulls, types, Buffer.from(texts, "latin1")]));
    const answer = await this.#packet();
    if (answer[0] !== OK) throw new MysqlError(errorText(answer));
  }

  close(): void {
    this.#waiting.length = 0;
    this.#socket.destroy();
  }

  #send(number: number, payload: Buffer): void {
    const head = Buffer.alloc(4);
    head.writeUIntLE(payload.length, 0, 3);
    head[3] = number;
    corkForTurn(this.#socket);
    this.#socket.write(Buffer.concat([head, payload]));
  }

  #packet(): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#error !== undefined) reject(this.#error);
      this.#waiting.push({ resolve, reject });
      this.#deliver();
    });
  }

  #deliver(): void {
    while (this.#waiting.length > 0 && this.#received.length >= 4) {
      const end = 4 + this.#received.readUIntLE(0, 3);
      if (this.#received.length < end) return;
      const packet = this.#received.subarray(4, end);
      this.#received = this.#received.subarray(end);
      this.#waiting.shift()?.resolve(packet);
    }
  }
}

/** True for an OK packet that says that rows were changed: the acknowledgement of a write. */
export function isWriteReply(reply: string): boolean {
  return reply.length > 6 && reply.charCodeAt(3) === 1 && reply.charCodeAt(4) === OK && reply.charCodeAt(5) > 0;
}

/** As it stands before a value: one byte up to 250, fc and two bytes for more. */
function lengthOf({ length }: string): string {
  return length < 251 ? String.fromCharCode(length) : String.fromCharCode(0xfc, length & 0xff, length >> 8);
}

function isEnd(packet: Buffer): boolean {
  return packet[0] === END && packet.length < 9;
}

function errorText(packet: Buffer): string {
  return packet.toString("utf8", 9);
}

/** Values with their lengths before them; fb is NULL, fc and fd are longer lengths. */
function rowOf(packet: Buffer): (string | null)[] {
  const values: (string | null)[] = [];
  for (let at = 0; at < packet.length; ) {
    const mark = packet[at++] ?? 0;
    if (mark === 0xfb) {
      values.push(null);
      continue;
    }
    const width = mark === 0xfc ? 2 : mark === 0xfd ? 3 : 0;
    const length = width === 0 ? mark : packet.readUIntLE(at, width);
    at += width;
    values.push(packet.toString("latin1", at, at + length));
    at += length;
  }
  return values;
}

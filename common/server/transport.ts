/**
 * What carries the bytes of one client: a socket (listen.ts), or the simulator in the lab. The server core knows no other
 * way out.
 */
import type { Bytes } from "../bytes.ts";

export interface Transport {
  /** "127.0.0.1:50188". */
  readonly address: string;
  readonly localAddress: string;
  /** Bytes handed over that the operating system has not taken yet. */
  readonly pendingBytes: number;
  /** So much is pending that nothing should be added; `drained` will be called. */
  readonly backlogged: boolean;
  write(output: Bytes): void;
  /** Stops and starts the calls of `receive`. */
  pause(): void;
  resume(): void;
  /** Closes when everything written has left. */
  end(): void;
  /** Closes now. */
  destroy(): void;
}

/** What a transport tells its connection. */
export interface Receiver {
  /** Bytes have come: the first `length` of `chunk` (all), which belongs to the transport again when the call returns. */
  receive(chunk: Buffer, length?: number): void;
  /** The transport was `backlogged`, and now everything has left. */
  drained(): void;
  /** Nothing more will come or can be sent. Called once. */
  ended(): void;
}

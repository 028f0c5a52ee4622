/**
 * What tests of a live server have in common.
 */
import type { Test } from "tap";
import type { Bytes } from "../../common/bytes.ts";
import { ModelServer, type RawClient, request } from "./model-server.ts";

/** A server for one test. */
export async function started(test: Test, settings: Record<string, string> = {}): Promise<ModelServer> {
  const server = await ModelServer.start(settings);
  test.teardown(() => server.close());
  return server;
}

/** Sends a line as a request of words, and waits for the reply that must come. */
export async function expectReply(test: Test, client: RawClient, line: string, reply: Bytes): Promise<void> {
  test.equal(await client.ask(request(...line.split(" ")), reply), reply, line);
}

/**
 * A turn or two of the event loop in which server and clients of a test live: whatever is in a socket by now has been read
 * then, however slow the machine is.
 */
export const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

const TURNS_OF_REST = 25;

/** Waits until a number has stopped changing. */
export async function whenItRests(read: () => number): Promise<number> {
  let value = read();
  for (let rested = 0; rested < TURNS_OF_REST; rested++) {
    await settled();
    if (read() === value) continue;
    value = read();
    rested = 0;
  }
  return value;
}

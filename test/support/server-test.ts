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

/** Long enough for a turn or two. */
export const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

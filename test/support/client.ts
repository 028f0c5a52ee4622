/**
 * A client of a real server: commands fail as soon as the server has gone. It ends with the test.
 */
import { Redis } from "ioredis";
import type { Test } from "tap";
import { ADDRESS } from "./program.ts";

export function clientOf(t: Test, port: number): Redis {
  const client = new Redis({ host: ADDRESS, port, retryStrategy: () => null, maxRetriesPerRequest: 0 });
  // Each command tells by itself that the connection has ended.
  client.on("error", () => {});
  t.teardown(() => client.disconnect());
  return client;
}

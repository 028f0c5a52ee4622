/** The originals that are installed here, one per policy. */
import type { Policy } from "../policy.ts";
import { makeMariadbTemplate, mariadbServer, mariadbVersion } from "./mariadb.ts";
import { redisServer, redisVersion } from "./redis.ts";
import type { CrashedServer } from "./server.ts";

export interface InstalledOriginals {
  readonly servers: ReadonlyMap<Policy, CrashedServer>;
  /** What is not installed and was wanted, in words. */
  readonly missing: readonly string[];
}

export async function installedOriginals(policies: readonly Policy[]): Promise<InstalledOriginals> {
  const servers = new Map<Policy, CrashedServer>();
  const wants = (engine: string): boolean => policies.some((policy) => policy.engine === engine);
  const redis = redisVersion();
  const mariadb = mariadbVersion();
  const missing: string[] = [];
  if (redis === undefined && wants("aof")) missing.push("redis-server is not installed");
  if (mariadb === undefined && wants("wal")) missing.push("mariadbd is not installed");
  const template = mariadb === undefined || !wants("wal") ? "" : await makeMariadbTemplate();
  for (const policy of policies) {
    if (policy.engine === "aof" && redis !== undefined) servers.set(policy, redisServer(policy, redis));
    if (policy.engine === "wal" && mariadb !== undefined) servers.set(policy, mariadbServer(policy, mariadb, template));
  }
  return { servers, missing };
}

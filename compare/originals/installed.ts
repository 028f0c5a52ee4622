/** The originals that are installed here, one per policy. */
import { MEASURED_VERSIONS } from "../claims/measured.ts";
import type { Policy } from "../policy.ts";
import { makeMariadbTemplate, mariadbServer, mariadbVersion } from "./mariadb.ts";
import { redisServer, redisVersion } from "./redis.ts";
import type { OriginalServer } from "./server.ts";

export interface InstalledOriginals {
  readonly servers: ReadonlyMap<Policy, OriginalServer>;
  /** What is not installed and was wanted, in words. */
  readonly missing: readonly string[];
  /** What is installed in another version than the measured one, in words. */
  readonly others: readonly string[];
}

export async function installedOriginals(policies: readonly Policy[]): Promise<InstalledOriginals> {
  const servers = new Map<Policy, OriginalServer>();
  const wants = (engine: string): boolean => policies.some((policy) => policy.engine === engine);
  const redis = redisVersion();
  const mariadb = mariadbVersion();
  const missing: string[] = [];
  if (redis === undefined && wants("aof")) missing.push("redis-server is not installed");
  if (mariadb === undefined && wants("wal")) missing.push("mariadbd is not installed");
  const others = [
    ...otherVersion("redis-server", wants("aof") ? redis : undefined, MEASURED_VERSIONS.aof),
    ...otherVersion("mariadbd", wants("wal") ? mariadb : undefined, MEASURED_VERSIONS.wal),
  ];
  const template = mariadb === undefined || !wants("wal") ? "" : await makeMariadbTemplate();
  for (const policy of policies) {
    if (policy.engine === "aof" && redis !== undefined) servers.set(policy, redisServer(policy, redis));
    if (policy.engine === "wal" && mariadb !== undefined) servers.set(policy, mariadbServer(policy, mariadb, template));
  }
  return { servers, missing, others };
}

function otherVersion(name: string, installed: string | undefined, measured: string): string[] {
  if (installed === undefined || installed === measured) return [];
  return [`${name} ${installed} is installed; ${measured} was measured`];
}

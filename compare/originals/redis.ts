/** The installed redis-server, as the lab records and crashes it. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { Redis } from "ioredis";
import type { Bytes } from "../../common/bytes.ts";
import type { FileTree } from "../crash-program/file-tree.ts";
import { materialise } from "../crash-program/materialise.ts";
import type { DiskImage } from "../lab/disk-image.ts";
import type { Cells } from "../model.ts";
import type { Policy } from "../policy.ts";
import { workloadKeys } from "../workload.ts";
import { type CrashedServer, type OriginalServer, type Restarted, restartProgram, type Session } from "./server.ts";

/** Its version, or undefined where it is not installed. */
export function redisVersion(): string | undefined {
  return /v=(\S+)/.exec(spawnSync("redis-server", ["--version"], { encoding: "utf8" }).stdout ?? "")?.[1];
}

/** A Redis connection of the workload: to an original by its socket, to ours by its port. */
export async function redisSession(where: { readonly path: string } | { readonly port: number }): Promise<Session> {
  const redis = await redisConnection(where);
  return {
    async set(key, value) {
      await redis.set(key, value);
    },
    close: () => redis.disconnect(),
  };
}

export async function redisConnection(where: { readonly path: string } | { readonly port: number }): Promise<Redis> {
  const redis = new Redis({
    ...where,
    lazyConnect: true,
    retryStrategy: () => null,
    enableReadyCheck: false,
    disableClientInfo: true,
    maxRetriesPerRequest: 0,
  });
  redis.on("error", () => {});
  await redis.connect();
  // While it loads its data, the server answers everything with an error.
  await redis.ping();
  return redis;
}

export function redisServer(policy: Policy, version: string, more: readonly string[] = []): OriginalServer {
  const commandFor = (folder: string) => ({
    command: "redis-server",
    args: [
      ...["--port", "0", "--unixsocket", `${folder}.sock`, "--dir", folder, "--save", "", "--daemonize", "no"],
      ...["--appendonly", "yes", "--appendfsync", policy.name],
      ...more,
    ],
  });
  return {
    name: `redis-server ${version}`,
    policy,
    isOriginal: true,
    ignore: [],
    prepare: async () => {},
    commandFor,
    connect: (folder) => redisSession({ path: `${folder}.sock` }),
    isWriteReply: (reply) => reply === "+OK\r\n",
    with: (...extra) => redisServer(policy, version, [...more, ...extra]),
    restart: (image, links, workFolder) => restartRedis(commandFor, image, links, join(workFolder, "redis")),
  };
}

async function restartRedis(
  commandFor: CrashedServer["commandFor"],
  image: DiskImage,
  links: FileTree,
  folder: string,
): Promise<Restarted> {
  materialise(image, links, folder);
  const found = await restartProgram({
    ...commandFor(folder),
    open: () => redisConnection({ path: `${folder}.sock` }),
    read: readAll,
    reasonIn: (said) => {
      const warning = said.split("\n").findLast((line) => line.includes(" # "));
      return warning?.replace(/^.*? # /, "") ?? said.trim().slice(-200);
    },
  });
  return { ...found, inBinlog: undefined };
}

async function readAll(redis: Redis): Promise<Cells> {
  const { strings } = workloadKeys(1);
  const values = await redis.mget(...strings);
  const cells = new Map<Bytes, Bytes>();
  for (const [index, key] of strings.entries()) {
    const value = values[index];
    if (value !== null && value !== undefined) cells.set(key, value);
  }
  const size = await redis.dbsize();
  if (size !== cells.size) cells.set("?", `${size - cells.size} more keys`);
  redis.disconnect();
  return cells;
}

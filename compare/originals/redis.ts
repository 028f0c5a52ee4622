/** The installed redis-server, as the lab records and crashes it. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { Redis } from "ioredis";
import type { Bytes } from "../../common/bytes.ts";
import type { FileTree } from "../crash-program/file-tree.ts";
import { materialise } from "../crash-program/materialise.ts";
import type { DiskImage } from "../lab/disk-image.ts";
import type { Policy } from "../policy.ts";
import { workloadKeys } from "../workload.ts";
import { type CrashedServer, type Restarted, run, type Session, whenReady } from "./server.ts";

export const NO_CELLS: ReadonlyMap<Bytes, Bytes> = new Map();

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

async function redisConnection(where: { readonly path: string } | { readonly port: number }): Promise<Redis> {
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

export function redisServer(policy: Policy, version: string): CrashedServer {
  const commandFor = (folder: string) => ({
    command: "redis-server",
    args: [
      ...["--port", "0", "--unixsocket", `${folder}.sock`, "--dir", folder, "--save", "", "--daemonize", "no"],
      ...["--appendonly", "yes", "--appendfsync", policy.name],
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
  const { command, args } = commandFor(folder);
  const server = run(command, args);
  const redis = await whenReady(server.ended, () => redisConnection({ path: `${folder}.sock` }));
  if (redis === undefined) {
    const said = server.said().trim().split("\n").slice(-2).join("; ");
    return { cells: NO_CELLS, refused: said, inBinlog: undefined };
  }
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
  server.child.kill("SIGKILL");
  await server.ended;
  return { cells, refused: undefined, inBinlog: undefined };
}

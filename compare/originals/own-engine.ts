/**
 * twolog's own servers, recorded by strace like the originals: a cross-check of the simulator's RecordingDisk, which sees
 * the same operations from inside. Recovery runs in this process, on a disk in memory.
 */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { MemoryDisk } from "../../common/disk/memory-disk.ts";
import { recoverAndRead } from "../explore.ts";
import type { Policy } from "../policy.ts";
import { childProgram } from "../server-process.ts";
import { committedIn } from "./binlog-count.ts";
import { redisSession } from "./redis.ts";
import type { CrashedServer } from "./server.ts";

/** What MariaDB's reader finds in kv-wal's binlogs, after recovery. */
function committedOn(disk: MemoryDisk, folder: string): number {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [path, bytes] of disk.snapshot()) {
    const name = basename(path);
    if (bytes !== undefined && /^binlog\.\d+$/.test(name)) writeFileSync(join(folder, name), bytes);
  }
  return committedIn(folder);
}

export function ownEngine(policy: Policy): CrashedServer {
  const plan = { policy, seed: 1, clients: 1, operations: 0, batch: 1, thinkMs: [0, 0] as const };
  return {
    name: `kv-${policy.engine}`,
    policy,
    isOriginal: false,
    // The lock names a process; recovery never reads it.
    ignore: [],
    prepare: async () => {},
    commandFor: (folder) => ({
      command: process.execPath,
      args: [childProgram(), JSON.stringify({ engine: policy.engine, policy: policy.name, folder, directives: {} })],
    }),
    connect(_, said) {
      const port = Number.parseInt(said, 10);
      if (Number.isNaN(port)) throw new Error("it does not listen yet");
      return redisSession({ port });
    },
    isWriteReply: (reply) => reply === "+OK\r\n",
    async restart(image, _, workFolder) {
      const disk = image.toMemoryDisk();
      const recovered = recoverAndRead(plan, disk);
      if ("refused" in recovered) return { cells: new Map(), refused: recovered.refused, inBinlog: undefined };
      const inBinlog = policy.engine === "wal" ? committedOn(disk, join(workFolder, "own")) : undefined;
      return { cells: recovered.cells, refused: undefined, inBinlog };
    },
  };
}

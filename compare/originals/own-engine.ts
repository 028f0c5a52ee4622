/**
 * twolog's own servers, recorded by strace like the originals: a cross-check of the simulator's RecordingDisk, which sees
 * the same operations from inside. Recovery runs in this process, on a disk in memory.
 */
import { recoverAndRead } from "../explore.ts";
import type { Policy } from "../policy.ts";
import { childProgram } from "../server-process.ts";
import { redisSession } from "./redis.ts";
import type { CrashedServer } from "./server.ts";

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
    async restart(image) {
      const recovered = recoverAndRead(plan, image.toMemoryDisk());
      if ("refused" in recovered) return { cells: new Map(), refused: recovered.refused, inBinlog: undefined };
      return { cells: recovered.cells, refused: undefined, inBinlog: undefined };
    },
  };
}

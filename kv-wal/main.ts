/** A server on kv-wal: the only file of the engine that knows common/server. */
import { COMMANDS } from "../common/commands/table.ts";
import type { Config } from "../common/config.ts";
import type { Host } from "../common/host.ts";
import { type Running, type RunOptions, runServer } from "../common/server/run.ts";
import { createWalEngine } from "./engine.ts";

export interface ServeOptions extends Omit<RunOptions, "commands"> {
  readonly host: Host;
  /** SERVER_DIRECTIVES and WAL_DIRECTIVES. */
  readonly config: Config;
}

/** Recovers, then serves. Throws `UsageError` or `CorruptFile` when it must not start. */
export function serve({ host, config, ...options }: ServeOptions): Promise<Running> {
  return runServer(createWalEngine(host, config), host, config, { ...options, commands: COMMANDS });
}

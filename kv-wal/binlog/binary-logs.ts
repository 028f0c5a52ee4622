/** What commands about the binary log ask for (common/commands/server/binary-log.ts). */
import type { BinaryLogs } from "../../common/command/session.ts";
import type { Config } from "../../common/config.ts";
import { CommandError } from "../../common/errors.ts";
import type { Host } from "../../common/host.ts";
import type { Backup } from "../backup.ts";
import type { GroupCommit } from "../group-commit.ts";
import type { Binlog } from "./binlog.ts";

export class WalBinaryLogs implements BinaryLogs {
  readonly #binlog: Binlog;
  readonly #commits: GroupCommit;
  readonly #backup: Backup;
  readonly #host: Host;
  readonly #config: Config;

  constructor(binlog: Binlog, commits: GroupCommit, backup: Backup, host: Host, config: Config) {
    this.#binlog = binlog;
    this.#commits = commits;
    this.#backup = backup;
    this.#host = host;
    this.#config = config;
  }

  list(): ReturnType<BinaryLogs["list"]> {
    return this.#binlog.list();
  }

  purgeTo(name: string): void {
    const file = this.#binlog.list().find((each) => each.name === name || `wal/${each.name}` === name);
    if (file === undefined) throw new CommandError("ERR Target log not found in binlog index");
    this.#binlog.purgeBefore(file.number);
  }

  purgeBefore(time: number): void {
    this.#binlog.purgeOlderThan(Math.floor(time / 1000));
  }

  backUp(folder: string): void {
    if (this.#backup.isRunning) throw new CommandError("ERR Background backup already in progress");
    const disk = this.#host.openFolder?.(folder);
    if (disk === undefined) throw new CommandError("ERR this server cannot write to other folders");
    if (disk.list("").length > 0) throw new CommandError("ERR the backup folder is not empty");
    this.#backup.start(disk, this.#config.text("dir"));
  }

  rotate(): void {
    this.#commits.rotateSoon();
  }
}

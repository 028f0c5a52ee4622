/** What commands about the binary log ask for (common/commands/server/binary-log.ts). */
import type { BinaryLogs } from "../../common/command/session.ts";
import { CommandError } from "../../common/errors.ts";
import type { GroupCommit } from "../group-commit.ts";
import type { Binlog } from "./binlog.ts";

export class WalBinaryLogs implements BinaryLogs {
  readonly #binlog: Binlog;
  readonly #commits: GroupCommit;

  constructor(binlog: Binlog, commits: GroupCommit) {
    this.#binlog = binlog;
    this.#commits = commits;
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

  rotate(): void {
    this.#commits.rotateSoon();
  }
}

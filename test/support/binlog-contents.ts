/** What the binlog of a kv-wal folder makes of an empty keyspace: a replica would have the same (I5). */
import type { Disk } from "../../common/disk/disk.ts";
import { applyBinlog } from "../../kv-wal/binlog/apply.ts";
import { pseudoRandom } from "./command-runner.ts";
import { contentsOf } from "./contents.ts";
import { ModelKeyspace } from "./model-keyspace.ts";
import { walConfig } from "./wal-fixture.ts";

export function binlogContents(disk: Disk): string[] {
  const keyspace = new ModelKeyspace();
  applyBinlog(disk, keyspace, { config: walConfig(), now: 0, pick: pseudoRandom(1) });
  return contentsOf(keyspace);
}

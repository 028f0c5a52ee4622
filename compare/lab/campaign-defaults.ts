/** What a campaign does when its flags are left out: apart from the rest, because the command line names them. */

/** See CampaignPlan in campaign-work.ts. */
export const DEFAULT_AGAIN_ONE_IN = 16;
export const DEFAULT_DEEPER_ONE_IN = 16;
export const DEFAULT_FAULTS_ONE_IN = 6;

/** Faults of the medium itself (garbage, lying-fsync, bit-rot, misdirected) are asked for with --models. */
export const DEFAULT_MODELS: readonly string[] = [
  "kill",
  "dropped",
  "prefix",
  "ext4-like",
  "posix-weak",
  "posix-weak@4096",
];

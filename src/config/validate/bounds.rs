//! How far each number may go, and why no farther.

/// Most connections at once: each may hold a file handle and a buffer.
pub const CONNECTION_COUNT_MAX: usize = 65_536;
/// Largest body of a request anyone may configure: the largest real ones are a few kilobytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest time-out of a connection: ten minutes. Longer is a leak, not a limit.
pub const TIMEOUT_SECONDS_MAX: u64 = 600;
/// Longest wait for a lock of the database: ten minutes.
pub const BUSY_TIMEOUT_MS_MAX: u64 = 600_000;
/// Most past claims to keep.
pub const HISTORY_COUNT_MAX: usize = 10_000_000;
/// Most follow-ups at once: each is looked at where one is made.
pub const FOLLOW_UP_COUNT_MAX: usize = 100_000;
/// Most events to keep.
pub const EVENT_COUNT_MAX: usize = 100_000_000;
/// Most requests a minute to GitHub that can be asked for: a thousand a second.
pub const REQUESTS_PER_MINUTE_MAX: u32 = 60_000;
/// Longest time between two full readings of a repository: a year.
pub const RECONCILE_HOURS_MAX: u64 = 365 * 24;
/// Longest of all intervals in minutes: a year.
pub const INTERVAL_MINUTES_MAX: u64 = 365 * 24 * 60;
/// Longest pause between two sweeps: an hour.
pub const SWEEP_SECONDS_MAX: u64 = 3600;
/// Longest call of a policy off the request path: a minute.
pub const POLICY_CALL_MS_MAX: u64 = 60_000;
/// Longest call of a policy while an agent waits: five seconds.
pub const POLICY_CHOOSE_MS_MAX: u64 = 5_000;
/// Least memory of a policy's instance: sixteen WebAssembly pages.
pub const POLICY_MEMORY_BYTES_MIN: usize = 1024 * 1024;
/// Most memory of a policy's instance: what a 32-bit WebAssembly memory can address.
pub const POLICY_MEMORY_BYTES_MAX: usize = 4 * 1024 * 1024 * 1024;
/// Most labels that are said to name areas.
pub const AREA_LABEL_COUNT_MAX: usize = 1_000;
/// Most groups of agents: an agent is held against each when it asks for work.
pub const AGENT_GROUP_COUNT_MAX: usize = 64;
/// Most patterns of one group.
pub const GROUP_PATTERN_COUNT_MAX: usize = 256;
/// A day, in seconds: the longest pause between two looks for work, and between two attempts.
pub const DAY_SECONDS: u64 = 24 * 3600;
/// Longest run: a week. What takes longer is not watched over by anybody.
pub const RUN_SECONDS_MAX: u64 = 7 * DAY_SECONDS;
/// Longest time between two looks at a run: an hour.
pub const HEARTBEAT_SECONDS_MAX: u64 = 3600;
/// Most runs at once on one machine: each has an agent of some 500 MB.
pub const SLOT_COUNT_MAX: u32 = 256;
/// Most attempts at one run.
pub const ATTEMPT_COUNT_MAX: u32 = 20;
/// Most follow-up runs of one pull request.
pub const REVIEW_ROUND_COUNT_MAX: u32 = 100;
/// Most issues in one pull request: nobody reviews more.
pub const ISSUES_PER_PULL_MAX: u32 = 20;
/// Least memory of a container: below it not even a shell and git start together.
pub const CONTAINER_MEMORY_BYTES_MIN: u64 = 64 << 20;
/// Most memory of a container.
pub const CONTAINER_MEMORY_BYTES_MAX: u64 = 16 << 40;
/// Fewest processes of a container: an agent's threads count.
pub const CONTAINER_PIDS_MIN: u32 = 16;
/// Most processes of a container: what a 64-bit Linux has numbers for.
pub const CONTAINER_PIDS_MAX: u32 = 4_194_304;
/// Least log of a run.
pub const RUN_LOG_BYTES_MIN: u64 = 4 << 10;
/// Most log of a run.
pub const RUN_LOG_BYTES_MAX: u64 = 1 << 30;
/// Least log file: below it a burst of lines would push out what explains it.
pub const LOG_FILE_BYTES_MIN: u64 = 64 << 10;
/// Most files of the log: each is moved when one is full.
pub const LOG_FILE_COUNT_MAX: u32 = 1_000;

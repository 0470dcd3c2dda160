//! How much a run may use and how long it may take, by its priority.

use std::time::Duration;

use super::container::Limits;
use crate::config::{ContainersConfig, LimitsConfig};
use crate::domain::RunPriority;

/// What holds for a run of one priority.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunLimits {
    /// What its container may use.
    pub container: Limits,
    /// Longest time of an attempt; `None` without bound.
    pub attempt_time_max: Option<Duration>,
    /// Longest time without a sign of work; `None` without bound.
    pub silence_max: Option<Duration>,
}

impl RunLimits {
    /// What `config` says for `priority`.
    pub fn of(config: &ContainersConfig, priority: RunPriority) -> Self {
        let own = own(config, priority);
        let bounded = |span: crate::config::Span| (!span.is_zero()).then(|| span.duration());
        Self {
            container: Limits::of(config, own),
            attempt_time_max: bounded(own.task_timeout.unwrap_or(config.task_timeout)),
            silence_max: bounded(config.stuck_timeout),
        }
    }
}

/// Most slots that runs of one priority take.
pub fn slots_of(config: &ContainersConfig, priority: RunPriority) -> u32 {
    own(config, priority).max_concurrent.unwrap_or(config.max_concurrent).min(config.max_concurrent)
}

fn own(config: &ContainersConfig, priority: RunPriority) -> &LimitsConfig {
    match priority {
        RunPriority::Critical => &config.priority.critical,
        RunPriority::High => &config.priority.high,
        RunPriority::Medium => &config.priority.medium,
        RunPriority::Low => &config.priority.low,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_has_what_it_says_and_the_rest_from_the_section() {
        let config: ContainersConfig = toml::from_str(
            "memory_limit = \"1g\"\nmax_concurrent = 3\n[priority.low]\ncpu_limit = \"0.5\"\ntask_timeout = \"90s\"\nmax_concurrent = 9",
        )
        .unwrap();
        let low = RunLimits::of(&config, RunPriority::Low);
        assert_eq!((low.container.cpus, low.container.memory_bytes, low.container.pids), (0.5, 1 << 30, 2048));
        assert_eq!(low.attempt_time_max, Some(Duration::from_secs(90)));
        assert_eq!(slots_of(&config, RunPriority::Low), 3, "never more than there are");
        let medium = RunLimits::of(&config, RunPriority::Medium);
        assert_eq!((medium.container.cpus, medium.attempt_time_max), (2.0, Some(Duration::from_secs(1800))));
    }
}

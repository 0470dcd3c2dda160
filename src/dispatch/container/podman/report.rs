//! What podman and its like say of themselves and of containers, in types.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::super::{ContainerUsage, RuntimeFacts};

/// What limits need of the kernel's control groups.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];

/// One container, as `inspect` tells it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Inspected {
    pub id: String,
    pub state: InspectedState,
    pub config: InspectedConfig,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectedState {
    pub running: bool,
    pub pid: u32,
    pub exit_code: i32,
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InspectedConfig {
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
}

impl Inspected {
    /// Reads an answer of `inspect`.
    pub fn all(text: &str) -> serde_json::Result<Vec<Self>> {
        serde_json::from_str(text)
    }

    pub fn label(&self, name: &str) -> Option<&str> {
        self.config.labels.as_ref()?.get(name).map(String::as_str)
    }
}

/// What `info` says of podman, or of docker.
pub fn facts(program: &str, place: Option<&str>, info: &Value) -> RuntimeFacts {
    let is_docker = info.get("ServerVersion").is_some();
    let version = if is_docker { &info["ServerVersion"] } else { &info["version"]["Version"] };
    let rootless = if is_docker {
        let options = info["SecurityOptions"].as_array().into_iter().flatten();
        options.filter_map(Value::as_str).any(|option| option.contains("rootless"))
    } else {
        info["host"]["security"]["rootless"] == true
    };
    let limits_enforced = if is_docker {
        ["MemoryLimit", "CPUCfsQuota", "PidsLimit"].iter().all(|limit| info[limit] == true)
    } else {
        let there: Vec<_> = info["host"]["cgroupControllers"].as_array().into_iter().flatten().collect();
        CONTROLLERS.iter().all(|needed| there.iter().any(|controller| controller == needed))
    };
    let version = version.as_str().unwrap_or("of an unknown version");
    let way = if rootless { "rootless" } else { "rootful" };
    let place = place.map(|name| format!(", over the connection {name}")).unwrap_or_default();
    let limits = if limits_enforced { "" } else { ", limits are NOT enforced" };
    let description = format!("{program} {version}, {way}{place}{limits}");
    RuntimeFacts { description, limits_enforced, isolates: true }
}

/// Prints every number that [`usage`] reads, each line after the name of its file: control groups of version 2, or
/// of version 1. Starts no program, for a container may have no process to spare.
pub const USAGE: &str = r#"
cd /sys/fs/cgroup || exit 1
for file in memory.current memory.stat memory.events cpu.stat pids.current \
  memory/memory.usage_in_bytes memory/memory.stat memory/memory.oom_control cpuacct/cpuacct.usage pids/pids.current
do
  [ -r "$file" ] || continue
  while read -r line; do printf '%s %s\n' "$file" "$line"; done < "$file"
done
"#;

/// What [`USAGE`] printed. `None` unless memory is among it.
pub fn usage(printed: &str) -> Option<ContainerUsage> {
    let lines = printed.lines().filter_map(|line| line.rsplit_once(' '));
    let numbers: BTreeMap<_, u64> = lines.filter_map(|(name, number)| Some((name, number.parse().ok()?))).collect();
    let either = |second: &str, first: &str| numbers.get(second).or_else(|| numbers.get(first)).copied();
    let held = either("memory.current", "memory/memory.usage_in_bytes")?;
    // Files that were read and may be forgotten at any time are no use of memory; podman does not count them either.
    let forgettable = either("memory.stat inactive_file", "memory/memory.stat total_inactive_file").unwrap_or(0);
    let cpu_us = numbers.get("cpu.stat usage_usec").copied();
    let cpu_ns = numbers.get("cpuacct/cpuacct.usage").copied();
    Some(ContainerUsage {
        memory_bytes: held.saturating_sub(forgettable),
        cpu_ms: cpu_us.map(|us| us / 1000).or(cpu_ns.map(|ns| ns / 1_000_000)).unwrap_or(0),
        pids: u32::try_from(either("pids.current", "pids/pids.current").unwrap_or(0)).unwrap_or(u32::MAX),
        oom_kills: either("memory.events oom_kill", "memory/memory.oom_control oom_kill").unwrap_or(0),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rootless_podman_without_control_groups_enforces_no_limits() {
        let info = json!({
            "host": { "cgroupVersion": "v1", "cgroupControllers": [], "security": { "rootless": true } },
            "version": { "Version": "4.3.1" },
        });
        let facts = facts("podman", None, &info);
        assert!(!facts.limits_enforced);
        assert!(facts.isolates);
        assert_eq!(facts.description, "podman 4.3.1, rootless, limits are NOT enforced");
    }

    #[test]
    fn rootful_podman_over_a_connection_says_so() {
        let info = json!({
            "host": { "cgroupControllers": ["cpuset", "cpu", "memory", "pids"], "security": { "rootless": false } },
            "version": { "Version": "5.4.0" },
        });
        let facts = facts("podman", Some("builder"), &info);
        assert!(facts.limits_enforced);
        assert_eq!(facts.description, "podman 5.4.0, rootful, over the connection builder");
    }

    #[test]
    fn docker_tells_its_limits_in_words_of_its_own() {
        let info = json!({
            "ServerVersion": "27.1", "MemoryLimit": true, "CPUCfsQuota": true, "PidsLimit": false,
            "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"],
        });
        let facts = facts("docker", None, &info);
        assert!(!facts.limits_enforced);
        assert!(facts.description.starts_with("docker 27.1, rootless"), "{}", facts.description);
    }

    #[test]
    fn use_is_read_from_both_versions_of_control_groups() {
        let second = "memory.current 5000\nmemory.stat inactive_file 1000\nmemory.stat anon 9\n\
                      memory.events low 0\nmemory.events oom 3\nmemory.events oom_kill 2\n\
                      cpu.stat usage_usec 7000\npids.current 4\n";
        let expected = ContainerUsage { memory_bytes: 4000, cpu_ms: 7, pids: 4, oom_kills: 2 };
        assert_eq!(usage(second), Some(expected));
        let first = "memory/memory.usage_in_bytes 5000\nmemory/memory.stat inactive_file 1\n\
                     memory/memory.stat total_inactive_file 1000\nmemory/memory.oom_control oom_kill_disable 0\n\
                     memory/memory.oom_control under_oom 0\nmemory/memory.oom_control oom_kill 2\n\
                     cpuacct/cpuacct.usage 7000000\npids/pids.current 4\n";
        assert_eq!(usage(first), Some(expected));
        assert_eq!(usage("pids.current 4\n"), None);
    }
}

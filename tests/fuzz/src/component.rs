//! The bytes of a policy's component: as they are, or as damage done to a component that is sound.

use std::fs;
use std::sync::LazyLock;

use issuecommand::authoring::Specimen;
use issuecommand::config::{PoliciesConfig, PolicyConfig};
use issuecommand::policy::{PolicyHost, builtin_component, builtin_names};
use tempfile::TempDir;

struct Bench {
    host: PolicyHost,
    folder: TempDir,
    policy: PolicyConfig,
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| Bench {
    // Without a cache: every component is compiled.
    host: PolicyHost::new(None).unwrap(),
    folder: tempfile::tempdir().unwrap(),
    policy: PolicyConfig { source: "policy.wasm".into(), ..PolicyConfig::builtin("") },
});

/// After `@`, which of our own components is damaged, and then five bytes for each damage: where (three bytes), what
/// (put another byte there, put one in, take one out), and the byte. Few random bytes are a component; few damages leave
/// none.
fn damaged(data: &[u8]) -> Option<Vec<u8>> {
    let (which, damages) = data.strip_prefix(b"@")?.split_first()?;
    // The largest takes seconds to compile, and shows nothing that the others do not.
    let names: Vec<_> = builtin_names().into_iter().filter(|name| *name != "rules").collect();
    let mut bytes = builtin_component(names[usize::from(*which) % names.len()])?.to_vec();
    for damage in damages.chunks_exact(5) {
        let place = usize::from(damage[0]) << 16 | usize::from(damage[1]) << 8 | usize::from(damage[2]);
        let place = place % bytes.len().max(1);
        match damage[3] % 3 {
            0 => bytes[place] = damage[4],
            1 => bytes.insert(place, damage[4]),
            _ => _ = bytes.remove(place),
        }
    }
    Some(bytes)
}

/// Looks at the bytes as `policy inspect` does, and takes them into service as a server does: as a ranker, and as a
/// stale rule.
///
/// # Panics
/// When what the one takes for a ranker the other refuses without a word.
pub fn component(data: &[u8]) {
    let (bench, made) = (&*BENCH, damaged(data));
    let data = made.as_deref().unwrap_or(data);
    let seen = Specimen::of(data);
    fs::write(bench.folder.path().join("policy.wasm"), data).unwrap();
    let all = PoliciesConfig::default();
    let is_ranker = bench.host.takes_ranker(&bench.policy, &all, bench.folder.path());
    let is_stale_rule = bench.host.takes_stale_rule(&bench.policy, &all, bench.folder.path());
    match seen {
        Ok(seen) => {
            let _ = (seen.kinds(), seen.package_versions(), seen.is_policy());
        }
        Err(error) => {
            assert!(!is_ranker && !is_stale_rule, "in service, and not to be looked at: {error}");
            assert!(!error.to_string().is_empty());
        }
    }
}

//! Which policies decide, and what they are told.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Config;
use super::composition::{CandidateConfig, OverrideConfig, RankerConfig};
use super::signer::{Signer, in_shell};
use crate::config::partial;

/// `[policies]`: which policies decide. Hot, as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoliciesConfig {
    /// Orders work.
    pub ranker: RankerConfig,
    /// Says when a claim has lapsed.
    #[serde(deserialize_with = "partial::stale_rule")]
    pub stale_rule: PolicyConfig,
    /// Says which repositories take part. `ALLOWED_REPOS` sets `settings.allow` of the built-in list.
    #[serde(deserialize_with = "partial::repo_filter")]
    pub repo_filter: PolicyConfig,
    /// `[[policies.override]]`: other policies for some repositories or agents; the first that fits holds.
    #[serde(rename = "override")]
    pub overrides: Vec<OverrideConfig>,
    /// `[policies.candidate]`: a ranker on trial.
    pub candidate: Option<CandidateConfig>,
    /// `[agent_groups]`, for overrides that name groups.
    #[serde(skip)]
    pub agent_groups: super::AgentGroupsConfig,
    /// What `ALLOWED_REPOS` allows beside any other filter than the built-in list: who takes part passes both.
    #[serde(skip)]
    pub allowed_repos: Vec<String>,
    /// Longest time for one call off the request path, in milliseconds.
    pub call_ms_max: u64,
    /// Longest time for one `choose` or `explain`, while an agent waits, in milliseconds.
    pub choose_ms_max: u64,
    /// Most memory of one instance, in bytes.
    pub memory_bytes_max: usize,
}

impl Default for PoliciesConfig {
    fn default() -> Self {
        Self {
            ranker: RankerConfig::default(),
            stale_rule: PolicyConfig::builtin(BUILTIN_STALE_RULE),
            repo_filter: PolicyConfig::builtin(BUILTIN_REPO_FILTER),
            overrides: Vec::new(),
            candidate: None,
            agent_groups: super::AgentGroupsConfig::default(),
            allowed_repos: Vec::new(),
            call_ms_max: 250,
            choose_ms_max: 20,
            memory_bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// The built-in ranker: a table of rules.
pub const BUILTIN_RANKER: &str = "rules";
/// The built-in stage that avoids overlaps with live claims: a ranker without scores of its own.
pub const BUILTIN_CONFLICT_AWARE: &str = "conflict-aware";
/// The built-in stale rule: silence for too long.
pub const BUILTIN_STALE_RULE: &str = "lease-timeouts";
/// The built-in repo filter: names and patterns.
pub const BUILTIN_REPO_FILTER: &str = "allow-list";
/// Its setting for who takes part.
const ALLOW: &str = "allow";
/// What the source of a built-in policy begins with; anything else is a path.
pub const BUILTIN_PREFIX: &str = "builtin:";

/// What the source of a policy from an OCI registry begins with. The server never pulls: it reads what
/// `issuecommand policy pull` put beside issuecommand.toml, by the SHA-256 that must be pinned.
pub const OCI_PREFIX: &str = "oci://";
/// The folder of what was pulled, beside issuecommand.toml.
pub const PULLED_FOLDER_NAME: &str = "policies";

/// One policy: where its component is, and what it is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyConfig {
    /// `builtin:<name>`, a path to a component, relative to issuecommand.toml, or `oci://<reference>` of one
    /// that was pulled.
    pub source: String,
    /// The component is refused unless its SHA-256, in hex, is this one.
    pub sha256: Option<String>,
    /// The component is refused unless this one signed it.
    pub signed_by: Option<Signer>,
    /// The policy's own settings.
    pub settings: Map<String, Value>,
}

impl PolicyConfig {
    /// A built-in policy without settings.
    pub fn builtin(name: &str) -> Self {
        Self { source: format!("{BUILTIN_PREFIX}{name}"), sha256: None, signed_by: None, settings: Map::new() }
    }

    /// The name of the built-in policy this is; `None` for a component in a file.
    pub fn builtin_name(&self) -> Option<&str> {
        self.source.strip_prefix(BUILTIN_PREFIX)
    }

    /// Its short name: `trust` of `policies/trust.wasm`, `rules` of `builtin:rules`.
    pub fn stem(&self) -> &str {
        let file = self.builtin_name().unwrap_or(&self.source);
        let file = file.rsplit('/').next().unwrap_or(file);
        file.strip_suffix(".wasm").unwrap_or(file)
    }

    /// The component's file, `folder` being that of issuecommand.toml; `None` for a built-in policy.
    pub fn component_path(&self, folder: &Path) -> Option<PathBuf> {
        if self.builtin_name().is_some() {
            return None;
        }
        match &self.sha256 {
            Some(pin) if self.is_pulled() => {
                let name = pin.trim().to_lowercase();
                Some(folder.join(PULLED_FOLDER_NAME).join(name).with_added_extension("wasm"))
            }
            _ => Some(folder.join(&self.source)),
        }
    }

    /// Every file it depends on, `folder` being that of issuecommand.toml: the component, and what says who
    /// signed it, whether it is there or not.
    fn paths(&self, folder: &Path) -> Vec<PathBuf> {
        let Some(component) = self.component_path(folder) else { return Vec::new() };
        let Some(signer) = &self.signed_by else { return vec![component] };
        let evidence = [signature_path(&component), manifest_path(&component)];
        [component].into_iter().chain(evidence).chain(signer.path(folder)).collect()
    }

    /// The command that pulls it, verified as it must be.
    pub fn pull_command(&self) -> String {
        let registry = self.source.strip_prefix(OCI_PREFIX).and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let http = if is_on_this_machine(registry) { " --insecure-http" } else { "" };
        let flags = self.signed_by.as_ref().map(|signer| format!(" {}", signer.flags())).unwrap_or_default();
        format!("issuecommand policy pull {}{http}{flags}", in_shell(&self.source))
    }

    /// Whether it comes from an OCI registry.
    pub fn is_pulled(&self) -> bool {
        self.source.starts_with(OCI_PREFIX)
    }
}

/// Whether a registry, `host` or `host:port`, is on this machine, where it is reached without TLS.
pub fn is_on_this_machine(registry: &str) -> bool {
    let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Where the signatures of a component are, by the custom of cosign: `x.wasm.sigstore.json` beside `x.wasm`.
pub fn signature_path(component: &Path) -> PathBuf {
    component.with_added_extension("sigstore.json")
}

/// Where the manifest of a component that was pulled is: signatures in a registry are of the manifest, and the
/// manifest names the component.
pub fn manifest_path(component: &Path) -> PathBuf {
    component.with_added_extension("manifest.json")
}

impl PoliciesConfig {
    /// Every policy there is: those of all rankers, stale rules and the repository filter.
    pub fn all(&self) -> impl Iterator<Item = &PolicyConfig> {
        let stale_rules = self.overrides.iter().filter_map(|it| it.stale_rule.as_ref());
        self.rankers().flat_map(RankerConfig::parts).chain([&self.stale_rule, &self.repo_filter]).chain(stale_rules)
    }

    /// Every ranker: the one of `[policies.ranker]`, those of overrides, and the candidate's.
    pub fn rankers(&self) -> impl Iterator<Item = &RankerConfig> {
        let of_overrides = self.overrides.iter().filter_map(|it| it.ranker.as_ref());
        [&self.ranker].into_iter().chain(of_overrides).chain(self.candidate.iter().map(|it| &it.ranker))
    }

    /// The same, to change them.
    pub fn rankers_mut(&mut self) -> impl Iterator<Item = &mut RankerConfig> {
        let of_overrides = self.overrides.iter_mut().filter_map(|it| it.ranker.as_mut());
        [&mut self.ranker].into_iter().chain(of_overrides).chain(self.candidate.iter_mut().map(|it| &mut it.ranker))
    }

    /// Every stale rule: the one of `[policies.stale_rule]`, and those of overrides.
    pub fn stale_rules_mut(&mut self) -> impl Iterator<Item = &mut PolicyConfig> {
        [&mut self.stale_rule].into_iter().chain(self.overrides.iter_mut().filter_map(|it| it.stale_rule.as_mut()))
    }

    /// The built-in list with what the environment allows, where it holds beside the configured filter.
    pub fn allowed_filter(&self) -> Option<PolicyConfig> {
        let mut filter = PolicyConfig::builtin(BUILTIN_REPO_FILTER);
        filter.settings.insert(ALLOW.to_owned(), self.allowed_repos.clone().into());
        (!self.allowed_repos.is_empty()).then_some(filter)
    }

    /// Lets no other repositories take part than these, names or patterns, whatever the filter lets pass.
    pub(in crate::config) fn allow_only(&mut self, repos: Vec<String>) {
        if self.repo_filter.builtin_name() == Some(BUILTIN_REPO_FILTER) {
            self.repo_filter.settings.insert(ALLOW.to_owned(), repos.into());
        } else {
            self.allowed_repos = repos;
        }
    }

    /// Every file that policies depend on, there or not, `folder` being that of issuecommand.toml: components
    /// that are not built in, and what says who signed them.
    pub fn paths(&self, folder: &Path) -> Vec<PathBuf> {
        let mut paths: Vec<_> = self.all().flat_map(|policy| policy.paths(folder)).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }
}

impl Config {
    /// The policies with what they are told in fact: the built-in stale rule gets the times of
    /// `[leases]` where its own settings do not name them.
    pub fn effective_policies(&self) -> PoliciesConfig {
        let mut policies = PoliciesConfig { agent_groups: self.effective_agent_groups(), ..self.policies.clone() };
        policies.overrides.extend(self.dispatch_override());
        for rule in policies.stale_rules_mut().filter(|rule| rule.builtin_name() == Some(BUILTIN_STALE_RULE)) {
            let times = [
                ("claim_timeout_minutes", self.leases.timeout_minutes),
                ("auto_release_minutes", self.leases.auto_release_minutes),
            ];
            for (name, minutes) in times {
                rule.settings.entry(name).or_insert_with(|| minutes.into());
            }
        }
        policies
    }
}

//! Whether a server would take a policy into service, step by step and with room to spare.

mod costs;

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use super::entries::{Entry, entries};
use super::{AuthoringError, PolicyKind, Specimen};
use crate::config::{PoliciesConfig, PolicyConfig};
use crate::policy::{Held, PolicyHost, PolicyRejected, PolicySet, hold, is_pinned, is_signed};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Where a configuration names the component: `[policies.ranker]`, ...; `None` where it was looked at without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// What: `imports`, `settings`, `time of score`, ...
    pub what: String,
    /// Whether it is as it must be.
    pub ok: bool,
    /// What was found, and what to do where it is wrong.
    pub detail: String,
}

/// A component that was looked at, and what was found.
#[derive(Debug, Clone)]
pub struct Trial {
    /// What the component is.
    pub specimen: Specimen,
    /// What was looked at, in order. After the first thing that is wrong the rest may be missing.
    pub findings: Vec<Finding>,
    /// Where the configuration names the component that is looked at now.
    entry: Option<String>,
}

impl Trial {
    /// Whether a server would take it.
    pub fn passed(&self) -> bool {
        self.findings.iter().all(|finding| finding.ok)
    }

    fn found(&mut self, what: &str, found: Result<String, String>) -> bool {
        let (ok, detail) = match found {
            Ok(detail) => (true, detail),
            Err(detail) => (false, detail),
        };
        self.findings.push(Finding { entry: self.entry.clone(), what: what.to_owned(), ok, detail });
        ok
    }
}

/// Looks at the component in `file` as a server would that is configured with `limits` and `settings`.
///
/// # Errors
/// [`AuthoringError`] only where nothing can be said of the file: it cannot be read, or is no component. What is
/// wrong with the policy is a finding.
pub fn check(
    host: &PolicyHost,
    file: &Path,
    settings: &Map<String, Value>,
    limits: &PoliciesConfig,
) -> Result<Trial, AuthoringError> {
    let mut trial = Trial { specimen: Specimen::read(file)?, findings: Vec::new(), entry: None };
    if is_policy(&mut trial) {
        trial.with_settings(host, file, settings, limits)?;
    }
    Ok(trial)
}

/// Looks at the component in `file` as the server would whose configuration is `all`, in `folder`: wherever that
/// names the component, with what stands there. Where it does not, this is [`check`] with its bounds, and says so.
///
/// # Errors
/// As [`check`].
pub fn check_in_place(
    host: &PolicyHost,
    file: &Path,
    settings: &Map<String, Value>,
    all: &PoliciesConfig,
    folder: &Path,
) -> Result<Trial, AuthoringError> {
    let mut trial = Trial { specimen: Specimen::read(file)?, findings: Vec::new(), entry: None };
    if !is_policy(&mut trial) {
        return Ok(trial);
    }
    let places = entries(all);
    let sha256 = &trial.specimen.sha256;
    let entries: Vec<&Entry<'_>> = places.iter().filter(|entry| entry.names(file, sha256, folder)).collect();
    let named: Vec<&str> = entries.iter().map(|entry| entry.place.as_str()).collect();
    if named.is_empty() {
        let told = "it names this component nowhere, so only its bounds on time and memory are used: no settings of \
                    it, no sha256, no signed_by";
        trial.found("configuration", not_meant(&places, file, folder).map(|()| told.into()));
        trial.with_settings(host, file, settings, all)?;
        return Ok(trial);
    }
    trial.found("configuration", Ok(format!("it names this component as {}", named.join(" and "))));
    for entry in entries {
        trial.entry = Some(entry.place.clone());
        trial.as_named(host, file, entry, all, folder)?;
    }
    Ok(trial)
}

/// Whether none of the places may have been meant for `file`; else which they are, and what they name.
fn not_meant(places: &[Entry<'_>], file: &Path, folder: &Path) -> Result<(), String> {
    let near = places.iter().filter_map(|entry| Some((entry, entry.is_near(file, folder)?)));
    let near: Vec<String> =
        near.map(|(entry, why)| format!("{:?} as {} ({why})", entry.policy.source, entry.place)).collect();
    if near.is_empty() {
        return Ok(());
    }
    Err(format!(
        "it names {}, which is not this file, and this one nowhere: mend the source, or leave --config out to check the \
         component by itself",
        near.join(", and ")
    ))
}

fn is_policy(trial: &mut Trial) -> bool {
    let found = trial.specimen.is_policy().map(|()| described(&trial.specimen));
    trial.found("imports and exports", found)
}

impl Trial {
    /// Looks at it as all that it is, with these settings.
    fn with_settings(
        &mut self,
        host: &PolicyHost,
        file: &Path,
        settings: &Map<String, Value>,
        limits: &PoliciesConfig,
    ) -> Result<(), AuthoringError> {
        for kind in self.specimen.kinds() {
            self.at_work(host, kind, &config_for(&[kind], file, settings, limits))?;
        }
        Ok(())
    }

    /// Looks at it as an entry of a configuration names it.
    fn as_named(
        &mut self,
        host: &PolicyHost,
        file: &Path,
        entry: &Entry<'_>,
        all: &PoliciesConfig,
        folder: &Path,
    ) -> Result<(), AuthoringError> {
        let Entry { kind, policy, .. } = entry;
        let pinned = is_pinned(policy, &self.specimen.sha256);
        self.found(
            "sha256",
            pinned.map(|()| match &policy.sha256 {
                Some(_) => "the pinned one".into(),
                None => "not pinned: whatever the file holds is taken".into(),
            }),
        );
        let bytes = fs::read(file).map_err(AuthoringError::io("read", file))?;
        let signed = is_signed(policy, policy.component_path(folder).as_deref(), folder, &bytes, &self.specimen.sha256);
        self.found(
            "signed_by",
            signed.map(|()| match &policy.signed_by {
                Some(signer) => format!("signed by {signer}"),
                None => "nobody must have signed it".into(),
            }),
        );
        if !self.specimen.kinds().contains(kind) {
            let is: Vec<_> = self.specimen.kinds().iter().map(ToString::to_string).collect();
            self.found("kind", Err(format!("it is a {}, and cannot be a {kind} too", is.join(" and a "))));
            return Ok(());
        }
        self.at_work(host, *kind, &config_for(&[*kind], file, &policy.settings, all))
    }

    /// Looks at it at work as the policy of this kind in `config`.
    fn at_work(&mut self, host: &PolicyHost, kind: PolicyKind, config: &PoliciesConfig) -> Result<(), AuthoringError> {
        if !settings_fit(self, host, kind, config) {
            return Ok(());
        }
        let Some(set) = loaded(self, host, kind, config)? else { return Ok(()) };
        self.costs(host, kind, &set, config);
        Ok(())
    }
}

/// The JSON Schema of the settings of the policy in `file`, as text.
///
/// # Errors
/// [`AuthoringError::Rejected`] when it cannot be loaded so far.
pub fn settings_schema(host: &PolicyHost, kind: PolicyKind, file: &Path) -> Result<String, AuthoringError> {
    let config = config_for(&[kind], file, &Map::new(), &PoliciesConfig::default());
    Ok(schema_of(kind, host.settings_schemas(&config, Path::new(""))?))
}

/// The policy in `file`, in service as everything that it is; the rest is built in.
///
/// # Errors
/// [`AuthoringError`] when it is no policy, or not fit for service.
pub fn policies_of(
    host: &PolicyHost,
    file: &Path,
    settings: &Map<String, Value>,
    limits: &PoliciesConfig,
) -> Result<PolicySet, AuthoringError> {
    let specimen = Specimen::read(file)?;
    specimen.is_policy().map_err(AuthoringError::Component)?;
    Ok(host.load(&config_for(&specimen.kinds(), file, settings, limits), Path::new(""))?)
}

/// A configuration in which the policies of these kinds are the one in `file`, and the others are built in.
pub(super) fn config_for(
    kinds: &[PolicyKind],
    file: &Path,
    settings: &Map<String, Value>,
    limits: &PoliciesConfig,
) -> PoliciesConfig {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    let policy =
        PolicyConfig { source: file.display().to_string(), sha256: None, signed_by: None, settings: settings.clone() };
    let mut config = PoliciesConfig {
        call_ms_max: limits.call_ms_max,
        choose_ms_max: limits.choose_ms_max,
        memory_bytes_max: limits.memory_bytes_max,
        ..PoliciesConfig::default()
    };
    for kind in kinds {
        match kind {
            PolicyKind::Ranker => config.ranker = policy.clone().into(),
            PolicyKind::StaleRule => config.stale_rule = policy.clone(),
            PolicyKind::RepoFilter => config.repo_filter = policy.clone(),
        }
    }
    config
}

fn described(specimen: &Specimen) -> String {
    let kinds: Vec<_> = specimen.kinds().iter().map(ToString::to_string).collect();
    let versions = specimen.package_versions().join(", ");
    format!("a {} against issuecommand:policy@{versions}; no import of anything else", kinds.join(" and a "))
}

fn settings_fit(trial: &mut Trial, host: &PolicyHost, kind: PolicyKind, config: &PoliciesConfig) -> bool {
    let schema = match host.settings_schemas(config, Path::new("")) {
        Ok(schemas) => schema_of(kind, schemas),
        Err(rejected) => return trial.found("settings schema", Err(rejected.reason)),
    };
    let settings = settings_of(kind, config);
    let held = hold(&schema, settings);
    let declared = match &held {
        Held::Unusable(why) => Err(why.clone()),
        Held::Undeclared => Ok("it declares none, so a server takes any settings unchecked".into()),
        Held::Fit | Held::Misfit(_) => Ok(format!("a JSON Schema of {} bytes", schema.len())),
    };
    trial.found("settings schema", declared)
        && trial.found(
            "settings",
            match held {
                Held::Misfit(text) => Err(text),
                Held::Undeclared if !settings.is_empty() => Ok("not checked: it declares no schema of them".into()),
                _ if settings.is_empty() => Ok("none".into()),
                _ => Ok("they fit the schema".into()),
            },
        )
}

fn schema_of(kind: PolicyKind, [ranker, stale_rule, repo_filter]: [String; 3]) -> String {
    match kind {
        PolicyKind::Ranker => ranker,
        PolicyKind::StaleRule => stale_rule,
        PolicyKind::RepoFilter => repo_filter,
    }
}

fn settings_of(kind: PolicyKind, config: &PoliciesConfig) -> &Map<String, Value> {
    match kind {
        PolicyKind::Ranker => &config.ranker.settings,
        PolicyKind::StaleRule => &config.stale_rule.settings,
        PolicyKind::RepoFilter => &config.repo_filter.settings,
    }
}

/// The settings of the policy of a kind.
pub(super) fn settings_mut(kind: PolicyKind, config: &mut PoliciesConfig) -> &mut Map<String, Value> {
    match kind {
        PolicyKind::Ranker => &mut config.ranker.settings,
        PolicyKind::StaleRule => &mut config.stale_rule.settings,
        PolicyKind::RepoFilter => &mut config.repo_filter.settings,
    }
}

/// The policy in service, if it passes the server's own trial: settings taken, and a call of each function on a
/// few rows and on none.
fn loaded(
    trial: &mut Trial,
    host: &PolicyHost,
    kind: PolicyKind,
    config: &PoliciesConfig,
) -> Result<Option<PolicySet>, AuthoringError> {
    let what = "the server's own trial";
    match host.load(config, Path::new("")) {
        Ok(set) => {
            trial.found(what, Ok("every function answers on a sample and on nothing".into()));
            Ok(Some(set))
        }
        Err(PolicyRejected { policy, reason, .. }) if policy == kind.key() => {
            trial.found(what, Err(reason));
            Ok(None)
        }
        Err(rejected) => Err(rejected.into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::policy::builtin_component;

    fn trial_of(settings: Value) -> Trial {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), builtin_component("rules").unwrap()).unwrap();
        let Value::Object(settings) = settings else { panic!("settings are an object") };
        let limits = PoliciesConfig { call_ms_max: 5000, choose_ms_max: 1000, ..PoliciesConfig::default() };
        check(&PolicyHost::new(None).unwrap(), file.path(), &settings, &limits).unwrap()
    }

    #[test]
    fn a_sound_policy_passes_in_every_point() {
        let trial = trial_of(serde_json::json!({}));
        assert!(trial.passed(), "{:#?}", trial.findings);
        let what: Vec<&str> = trial.findings.iter().map(|finding| finding.what.as_str()).collect();
        assert!(what.contains(&"settings") && what.contains(&"memory"), "{what:?}");
        assert!(what.contains(&"same input, same answer"), "{what:?}");
    }

    #[test]
    fn settings_that_do_not_fit_are_named_by_their_key() {
        let trial = trial_of(serde_json::json!({"rules": "many"}));
        let last = trial.findings.last().unwrap();
        assert!(!trial.passed() && last.detail.contains("rules"), "{last:?}");
    }
}

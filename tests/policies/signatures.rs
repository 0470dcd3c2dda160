//! A policy that must be signed is loaded only with a signature, whatever its part is.

use std::fs;
use std::path::PathBuf;

use issuecommand::config::{
    CandidateConfig, CandidateMode, OverrideConfig, PoliciesConfig, PolicyConfig, RankerConfig, Signer, StageConfig,
    StageRole,
};
use issuecommand::policy::builtin_component;

use crate::cosign::Team;
use crate::stage::host;

/// A folder with components, and the key of the team that signs them.
struct Desk {
    folder: tempfile::TempDir,
    team: Team,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap(), team: Team::new() };
        desk.write("team.pub", desk.team.public_key().as_bytes());
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Puts a built-in's component there as the file of a team, without a signature.
    fn put(&self, name: &str) -> PolicyConfig {
        let source = format!("{name}.wasm");
        self.write(&source, builtin_component(name).unwrap());
        let signed_by = Some(Signer::Key { key: "team.pub".into() });
        PolicyConfig { source, signed_by, ..PolicyConfig::builtin(name) }
    }

    /// Puts there what `cosign sign-blob --key` writes.
    fn sign(&self, name: &str, by: &Team) {
        let bundle = by.sign_blob(&fs::read(self.path(&format!("{name}.wasm"))).unwrap());
        self.write(&format!("{name}.wasm.sigstore.json"), bundle.as_bytes());
    }

    fn load(&self, config: &PoliciesConfig) -> Result<(), String> {
        host().load(config, self.folder.path()).map(drop).map_err(|rejected| rejected.to_string())
    }
}

#[test]
fn a_ranker_is_loaded_with_its_signature_and_not_without_nor_with_that_of_another() {
    let desk = Desk::new();
    let config = PoliciesConfig { ranker: desk.put("rules").into(), ..PoliciesConfig::default() };
    let (place, signature) = (desk.path("rules.wasm"), desk.path("rules.wasm.sigstore.json"));
    let (place, signature) = (place.display(), signature.display());
    let refused = format!(
        "[policies.ranker] \"rules.wasm\" ({place}) was not loaded: it must be signed by the key team.pub, but "
    );
    let remedy = "sign it with `cosign sign-blob --key cosign.key --bundle rules.wasm.sigstore.json rules.wasm`";
    let trust = ", or name in signed_by whom you trust";
    assert_eq!(desk.load(&config).unwrap_err(), format!("{refused}there is no {signature}: {remedy}"));

    desk.sign("rules", &desk.team);
    desk.load(&config).unwrap();

    desk.sign("rules", &Team::new());
    let told = desk.load(&config).unwrap_err();
    let expected = format!("{refused}its signature was made with another key than team.pub (");
    assert!(told.starts_with(&expected) && told.ends_with(&format!("): {remedy}{trust}")), "{told}");

    desk.sign("rules", &desk.team);
    desk.write("rules.wasm", builtin_component("conflict-aware").unwrap());
    let told = desk.load(&config).unwrap_err();
    assert!(told.starts_with(&format!("{refused}its signature is of something else (SHA-256 ")), "{told}");

    desk.write("rules.wasm.sigstore.json", b"signed, honestly");
    let told = desk.load(&config).unwrap_err();
    assert!(told.starts_with(&format!("{refused}its signature is no bundle, as cosign 3 ")), "{told}");

    fs::remove_file(desk.path("team.pub")).unwrap();
    let told = desk.load(&config).unwrap_err();
    assert!(told.starts_with(&format!("{refused}the key team.pub cannot be read: ")), "{told}");
}

#[test]
fn every_part_of_a_set_may_have_to_be_signed() {
    let desk = Desk::new();
    let stage = |policy| StageConfig { name: "avoid".into(), role: StageRole::Choose, weight: 1.0, policy };
    let mut staged = PoliciesConfig::default();
    staged.ranker.stage.push(stage(desk.put("conflict-aware")));
    let of = |policy: &PolicyConfig| OverrideConfig {
        repos: vec!["acme/*".into()],
        stale_rule: Some(policy.clone()),
        ..OverrideConfig::default()
    };
    let rule = desk.put("lease-timeouts");
    let ranker: RankerConfig = desk.put("rules").into();
    let candidate = CandidateConfig { mode: CandidateMode::Shadow, share: 0.0, ranker: ranker.clone() };
    let for_acme = OverrideConfig { stale_rule: None, ranker: Some(ranker), ..of(&rule) };
    let sets = [
        ("rules", "candidate.ranker", PoliciesConfig { candidate: Some(candidate), ..PoliciesConfig::default() }),
        ("rules", "override.ranker", PoliciesConfig { overrides: vec![for_acme], ..PoliciesConfig::default() }),
        ("conflict-aware", "ranker", staged),
        ("lease-timeouts", "stale_rule", PoliciesConfig { stale_rule: rule.clone(), ..PoliciesConfig::default() }),
        (
            "lease-timeouts",
            "override.stale_rule",
            PoliciesConfig { overrides: vec![of(&rule)], ..PoliciesConfig::default() },
        ),
        (
            "allow-list",
            "repo_filter",
            PoliciesConfig { repo_filter: desk.put("allow-list"), ..PoliciesConfig::default() },
        ),
    ];
    for (name, part, config) in sets {
        let signature = desk.path(&format!("{name}.wasm.sigstore.json"));
        let _ = fs::remove_file(&signature);
        let told = desk.load(&config).unwrap_err();
        assert!(told.starts_with(&format!("[policies.{part}] \"{name}.wasm\"")), "{told}");
        assert!(told.contains(&format!("but there is no {}: sign it with", signature.display())), "{told}");
        desk.sign(name, &desk.team);
        desk.load(&config).unwrap();
    }
}

#[test]
fn what_is_built_in_cannot_have_to_be_signed() {
    let desk = Desk::new();
    let mut config = PoliciesConfig::default();
    config.ranker.signed_by = Some(Signer::Key { key: "team.pub".into() });
    let told = desk.load(&config).unwrap_err();
    assert!(told.ends_with("a built-in policy is part of the server, and not signed: no signed_by"), "{told}");
}

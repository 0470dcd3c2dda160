use serde_json::json;
use sigstore_verify::crypto::KeyPair;
use sigstore_verify::types::{Statement, pae};

use super::subject::{SIGNED_PREDICATE, STATEMENT_TYPE};
use super::*;

const COMPONENT: &[u8] = include_bytes!("../../../tests/cosign/component");
const BY_KEY: &str = include_str!("../../../tests/cosign/by-key.sigstore.json");
const BY_IDENTITY: &str = include_str!("../../../tests/cosign/by-identity.sigstore.json");
const IDENTITY: &str = "https://github.com/acme/policies/.github/workflows/release.yml@refs/tags/v1.0.0";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cosign"))
}

fn team() -> Trust {
    Trust::read(&Signer::Key { key: "team.pub".into() }, folder()).unwrap()
}

fn identity(identity: &str, issuer: &str) -> Trust {
    let trusted_root = Some("trusted_root.json".into());
    let signer = Signer::Identity { identity: identity.into(), issuer: issuer.into(), trusted_root };
    Trust::read(&signer, folder()).unwrap()
}

fn component_of(bytes: &[u8]) -> Component<'_> {
    Component::new(bytes, &sha256(bytes).to_hex())
}

fn proven(bundles: &str, component: &[u8], trust: &Trust) -> Result<Signed, String> {
    Evidence::new(bundles.as_bytes(), None).proven(&component_of(component), trust)
}

#[track_caller]
fn refused(proven: Result<Signed, String>, why: &str) {
    let told = proven.unwrap_err();
    assert!(told.contains(why), "{told}");
}

fn changed(bundle: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut bundle: Value = serde_json::from_str(bundle).unwrap();
    change(&mut bundle);
    bundle.to_string()
}

/// A team of the test's own, with its key at hand.
struct Team {
    pair: KeyPair,
}

impl Team {
    fn new() -> Self {
        Self { pair: KeyPair::generate_ecdsa_p256().unwrap() }
    }

    fn trust(&self) -> Trust {
        Trust::Key { name: "own.pub".into(), key: self.pair.public_key_der().unwrap() }
    }

    fn material(&self) -> Value {
        json!({ "publicKey": { "hint": fingerprint(&self.pair.public_key_der().unwrap()) } })
    }

    /// As `cosign sign` signs the artefact of a registry: a statement about its digest.
    fn statement(&self, artefact: &[u8], predicate: &str) -> String {
        let statement = json!({
            "_type": Statement::TYPE_V1, "subject": [{ "digest": { "sha256": sha256(artefact).to_hex() } }],
            "predicateType": predicate, "predicate": {},
        });
        self.enveloped(statement.to_string().as_bytes(), STATEMENT_TYPE)
    }

    fn enveloped(&self, payload: &[u8], payload_type: &str) -> String {
        let signature = self.pair.sign(&pae(payload_type, payload)).unwrap();
        let envelope = json!({
            "payload": sigstore_verify::types::PayloadBytes::from_bytes(payload), "payloadType": payload_type,
            "signatures": [{ "sig": signature }],
        });
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": self.material(), "dsseEnvelope": envelope,
        })
        .to_string()
    }
}

#[test]
fn what_cosign_signs_with_a_key_is_by_that_key() {
    let signed = proven(BY_KEY, COMPONENT, &team()).unwrap();
    assert!(signed.by.starts_with("the key team.pub ("), "{signed}");
    assert_eq!(signed.at, None);
}

#[test]
fn what_cosign_signs_in_a_registry_is_by_that_key() {
    let read = |name: &str| std::fs::read(folder().join(name)).unwrap();
    let of = |manifest| Evidence::new(&read("in-registry.sigstore.json"), manifest);
    let signed = of(Some(read("manifest.json"))).proven(&component_of(COMPONENT), &team()).unwrap();
    assert!(signed.by.starts_with("the key team.pub ("), "{signed}");
    refused(of(None).proven(&component_of(COMPONENT), &team()), "is of something else");
    refused(
        of(Some(read("manifest.json"))).proven(&component_of(b"another component"), &team()),
        "is of a manifest that does not name",
    );
}

#[test]
fn a_signature_by_another_key_of_another_component_or_changed_is_told_apart() {
    refused(proven(BY_KEY, COMPONENT, &Team::new().trust()), "its signature was made with another key than own.pub (");
    let other = proven(BY_KEY, b"another component", &team());
    let (named, is) = (sha256(COMPONENT).to_hex(), sha256(b"another component").to_hex());
    refused(other, &format!("is of something else (SHA-256 {named}) than this component (SHA-256 {is})"));
    // Who swaps the digest as well still lacks the key.
    let swapped = changed(BY_KEY, |it| {
        it["messageSignature"]["messageDigest"]["digest"] = sha256(b"another component").to_base64().into();
    });
    refused(proven(&swapped, b"another component", &team()), "is not by team.pub, or was changed");
    let undigested = changed(BY_KEY, |it| {
        it["messageSignature"].as_object_mut().unwrap().remove("messageDigest");
    });
    assert!(proven(&undigested, COMPONENT, &team()).is_ok());
    refused(proven(&undigested, b"another component", &team()), "is not by team.pub, or was changed");
    let of_another = serde_json::from_str::<Value>(BY_IDENTITY).unwrap()["messageSignature"]["signature"].clone();
    let tampered = changed(BY_KEY, |it| it["messageSignature"]["signature"] = of_another);
    refused(proven(&tampered, COMPONENT, &team()), "is not by team.pub, or was changed");
    // What a bundle says of its key is believed only to explain a failure.
    let lying = changed(BY_KEY, |it| it["verificationMaterial"]["publicKey"]["hint"] = "bGll".into());
    assert!(proven(&lying, COMPONENT, &team()).is_ok());
}

#[test]
fn what_cosign_signs_as_a_workflow_is_by_that_workflow() {
    let by = format!("{IDENTITY} (issuer {ISSUER})");
    let anywhere = "https://github.com/acme/policies/.github/workflows/release.yml@refs/tags/*";
    for pattern in [IDENTITY, anywhere] {
        let signed = proven(BY_IDENTITY, COMPONENT, &identity(pattern, ISSUER)).unwrap();
        assert_eq!(signed.by, by);
        assert_eq!(signed.at.unwrap().format("%Y-%m-%d").to_string(), "2026-11-21");
    }
    let was_by = format!("its signature was made by {by}");
    for (other, issuer) in [
        (IDENTITY.replace("acme", "evil"), ISSUER),
        (IDENTITY.replace("v1.0.0", "v1.0"), ISSUER),
        ("https://github.com/*".to_owned(), ISSUER),
        (IDENTITY.to_owned(), "https://accounts.example.org"),
    ] {
        refused(proven(BY_IDENTITY, COMPONENT, &identity(&other, issuer)), &was_by);
    }
}

#[test]
fn an_identity_needs_its_log_its_certificate_and_its_signature_whole() {
    let trust = identity(IDENTITY, ISSUER);
    refused(proven(BY_IDENTITY, b"another component", &trust), "is of something else");
    let entry = |it: &mut Value, change: &dyn Fn(&mut Value)| change(&mut it["verificationMaterial"]["tlogEntries"][0]);
    let later = changed(BY_IDENTITY, |it| entry(it, &|entry| entry["integratedTime"] = "1795300000".into()));
    refused(proven(&later, COMPONENT, &trust), "its signature does not hold: invalid inclusion promise");
    let unlogged = changed(BY_IDENTITY, |it| it["verificationMaterial"]["tlogEntries"] = json!([]));
    refused(proven(&unlogged, COMPONENT, &trust), "must have an inclusion proof");
    let unproven = changed(BY_IDENTITY, |it| {
        entry(it, &|entry| drop(entry.as_object_mut().unwrap().remove("inclusionProof")));
    });
    refused(proven(&unproven, COMPONENT, &trust), "must have an inclusion proof");
    let of_another = serde_json::from_str::<Value>(BY_KEY).unwrap()["messageSignature"]["signature"].clone();
    let tampered = changed(BY_IDENTITY, |it| it["messageSignature"]["signature"] = of_another);
    refused(proven(&tampered, COMPONENT, &trust), "its signature does not hold: invalid signature");
    // An authority that Sigstore's public instance does not know convinces nobody who did not name it.
    let public = Signer::Identity { identity: IDENTITY.into(), issuer: ISSUER.into(), trusted_root: None };
    let public = Trust::read(&public, folder()).unwrap();
    refused(
        proven(BY_IDENTITY, COMPONENT, &public),
        "its signature does not hold: invalid inclusion promise: No log key",
    );
}

#[test]
fn a_key_is_no_identity_and_an_identity_no_key() {
    refused(proven(BY_KEY, COMPONENT, &identity(IDENTITY, ISSUER)), "was made with a key, and not by an identity");
    refused(proven(BY_IDENTITY, COMPONENT, &team()), "was made by an identity, and not with a key");
}

#[test]
fn the_signature_of_a_manifest_is_one_of_the_component_that_it_names() {
    let team = Team::new();
    let manifest = |layers: &[&[u8]]| {
        let layers = layers.iter().map(|it| json!({ "digest": format!("sha256:{}", sha256(it).to_hex()) }));
        json!({ "schemaVersion": 2, "layers": layers.collect::<Vec<_>>() }).to_string().into_bytes()
    };
    let of = |signed: &[u8], there: Vec<u8>| {
        let bundle = team.statement(signed, SIGNED_PREDICATE);
        Evidence::new(bundle.as_bytes(), Some(there)).proven(&component_of(COMPONENT), &team.trust())
    };
    let ours = manifest(&[COMPONENT]);
    assert!(of(&ours, ours.clone()).is_ok());
    for other in [manifest(&[b"another component"]), manifest(&[COMPONENT, b"more"]), manifest(&[]), b"no".to_vec()] {
        refused(of(&other, other.clone()), "is of a manifest that does not name this component");
        refused(of(&other, ours.clone()), "is of something else");
    }
    refused(proven(&team.statement(&ours, SIGNED_PREDICATE), COMPONENT, &team.trust()), "is of something else");
}

#[test]
fn a_statement_of_something_else_than_that_it_is_signed_approves_nothing() {
    let team = Team::new();
    let scanned = team.statement(COMPONENT, "https://cosign.sigstore.dev/attestation/vuln/v1");
    refused(
        proven(&scanned, COMPONENT, &team.trust()),
        "is an attestation (https://cosign.sigstore.dev/attestation/vuln",
    );
    let signed = team.statement(COMPONENT, SIGNED_PREDICATE);
    assert!(proven(&signed, COMPONENT, &team.trust()).is_ok());
    // A statement in another envelope than was signed.
    let payload = team.statement(b"another component", SIGNED_PREDICATE);
    let payload = serde_json::from_str::<Value>(&payload).unwrap()["dsseEnvelope"]["payload"].clone();
    let swapped = changed(&signed, |it| it["dsseEnvelope"]["payload"] = payload);
    refused(proven(&swapped, b"another component", &team.trust()), "is not by own.pub, or was changed");
    refused(proven(&team.enveloped(b"{}", "text/plain"), COMPONENT, &team.trust()), "is of \"text/plain\"");
}

#[test]
fn one_signature_that_fits_is_enough_and_otherwise_each_is_told() {
    let team = Team::new();
    let both = format!("{BY_KEY}\n{}\n", team.statement(COMPONENT, SIGNED_PREDICATE));
    assert!(proven(&both, COMPONENT, &team.trust()).is_ok());
    assert!(proven(&format!("{{\"mediaType\": \"of tomorrow\"}}\n{both}"), COMPONENT, &team.trust()).is_ok());
    // What is no JSON hides what follows it, and nothing before it.
    assert!(proven(&format!("{both}<html>"), COMPONENT, &team.trust()).is_ok());
    refused(proven(&format!("<html>{both}"), COMPONENT, &team.trust()), "its signature is no bundle");
    let told = proven(&format!("{BY_KEY}{BY_IDENTITY}"), COMPONENT, &team.trust()).unwrap_err();
    assert!(told.starts_with("none of its signatures fits: one was made with another key than own.pub ("), "{told}");
    assert!(told.ends_with("; one was made by an identity, and not with a key"), "{told}");
}

#[test]
fn more_signatures_than_are_looked_at_are_told() {
    let others = |count: usize| BY_KEY.repeat(count);
    let team = Team::new();
    let ours = team.statement(COMPONENT, SIGNED_PREDICATE);
    assert!(proven(&format!("{}{ours}", others(SIGNATURE_COUNT_MAX - 1)), COMPONENT, &team.trust()).is_ok());
    refused(proven(&format!("{}{ours}", others(16)), COMPONENT, &team.trust()), "are more, but only 16 are looked at");
    let told = proven(&others(SIGNATURE_COUNT_MAX), COMPONENT, &team.trust()).unwrap_err();
    assert!(!told.contains("are more"), "{told}");
}

#[test]
fn attestations_are_told_from_signatures_without_a_key() {
    let team = Team::new();
    assert!(!may_be_signature(team.statement(COMPONENT, "https://slsa.dev/provenance/v1").as_bytes()));
    assert!(!may_be_signature(b"<html>"));
    for kept in [&team.statement(COMPONENT, SIGNED_PREDICATE), BY_KEY, BY_IDENTITY, "{}"] {
        assert!(may_be_signature(kept.as_bytes()), "{kept}");
    }
}

#[test]
fn what_a_bundle_says_of_itself_is_told_in_one_short_line() {
    let team = Team::new();
    let long = format!("\u{1b}[2J\n{}", "x".repeat(100_000));
    let hint = changed(BY_KEY, |it| it["verificationMaterial"]["publicKey"]["hint"] = long.clone().into());
    let digest = sigstore_verify::types::PayloadBytes::from_bytes(&[7; 100_000]);
    let of_another = changed(BY_KEY, |it| it["messageSignature"]["messageDigest"]["digest"] = json!(digest));
    let typed = team.enveloped(b"{}", &long);
    for bundle in [hint, of_another, typed, team.statement(COMPONENT, &long), json!({ "mediaType": long }).to_string()]
    {
        let evidence = Evidence::new(bundle.as_bytes(), None);
        let told = evidence.proven(&component_of(COMPONENT), &team.trust()).unwrap_err();
        for told in evidence.claims(&component_of(COMPONENT)).into_iter().chain([told]) {
            assert!(told.len() < 1_100 && !told.contains(char::is_control), "{} bytes: {told:?}", told.len());
        }
    }
}

#[test]
fn a_file_that_holds_no_signature_says_so() {
    refused(proven("", COMPONENT, &team()), "the file of its signature is empty");
    refused(proven("MEUCIQ", COMPONENT, &team()), "is no bundle, as cosign 3 (or 2 with --new-bundle-format) writes");
    refused(proven("{}", COMPONENT, &team()), "its signature is no bundle");
    refused(proven(&BY_KEY[..BY_KEY.len() / 2], COMPONENT, &team()), "is no bundle");
}

#[test]
fn a_signer_who_cannot_be_recognised_is_told_by_the_file() {
    let read = |signer: Signer| Trust::read(&signer, folder()).err().unwrap();
    let told = read(Signer::Key { key: "absent.pub".into() });
    assert!(told.starts_with("the key absent.pub cannot be read: "), "{told}");
    let told = read(Signer::Key { key: "README.md".into() });
    assert!(told.starts_with("README.md is no public key in PEM, as cosign.pub is: "), "{told}");
    let root = |path: &str| Signer::Identity {
        identity: IDENTITY.into(),
        issuer: ISSUER.into(),
        trusted_root: Some(path.into()),
    };
    assert!(read(root("absent.json")).starts_with("the trusted root absent.json cannot be read: "));
    let told = read(root("by-key.sigstore.json"));
    assert!(told.contains("is no trusted root, as `cosign trusted-root create` writes"), "{told}");
}

#[test]
fn a_pattern_leaves_open_one_part_between_slashes() {
    for (pattern, text) in
        [("a", "a"), ("a/*", "a/b"), ("a/*", "a/"), ("*@acme.example", "me@acme.example"), ("a*c*e", "abcde")]
    {
        assert!(fits_pattern(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [
        ("a", "ab"),
        ("a/*", "a/b/c"),
        ("*", "a/b"),
        ("a*", "ba"),
        ("a[b]", "ab"),
        ("*@acme.example", "a@acme.example.org"),
    ] {
        assert!(!fits_pattern(pattern, text), "{pattern} {text}");
    }
}

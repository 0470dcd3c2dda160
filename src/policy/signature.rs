//! Whether a component is signed by the one who should have signed it: Sigstore bundles, as `cosign` makes them,
//! verified without a network. Only this module names sigstore.

mod subject;

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use sigstore_verify::crypto::{KeyAlgorithm, sha256, verify_signature};
use sigstore_verify::trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot};
use sigstore_verify::types::{Bundle, DerPublicKey, Sha256Hash, SignatureContent, VerificationMaterialContent};
use sigstore_verify::{VerificationPolicy, VerificationResult, Verifier};

use self::subject::Subject;
pub(crate) use self::subject::may_be_signature;
use super::output::line;
use crate::config::{Signer, manifest_path, signature_path};

/// Most signatures of one component that are looked at.
pub(crate) const SIGNATURE_COUNT_MAX: usize = 16;
/// Most bytes of a file that says who signed: bundles with their certificates are about 10 KiB each.
pub(crate) const EVIDENCE_BYTES_MAX: u64 = 1 << 20;
/// Longest text out of a bundle that is told, in bytes: anybody may have written it.
const QUOTE_BYTES_MAX: usize = 200;
/// Longest fault of one signature, in bytes, with what the library quotes of the bundle.
const FAULT_BYTES_MAX: usize = 1_000;
/// How many different faults of signatures are told at once.
const FAULT_COUNT_MAX: usize = 3;

static PUBLIC_INSTANCE: LazyLock<Verifier> = LazyLock::new(|| {
    let root = TrustedRoot::from_json(SIGSTORE_PRODUCTION_TRUSTED_ROOT);
    let root = root.expect("the library's own tests read the root that it brings");
    Verifier::new(&root).expect("the library's own tests use the root that it brings")
});

/// Who signed a component, as far as it was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The signer, in words.
    pub by: String,
    /// When, if a transparency log or a timestamp authority that is trusted says so.
    pub at: Option<DateTime<Utc>>,
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.by)?;
        self.at.map_or(Ok(()), |at| write!(f, ", {}", at.format("%Y-%m-%d %H:%M UTC")))
    }
}

/// A signer, with what it is recognised by.
pub(crate) enum Trust {
    Key { name: String, key: DerPublicKey },
    Identity { identity: String, issuer: String, instance: Option<Box<Verifier>> },
}

/// A component with its digest, so that a signature of something else is told without digesting tens of megabytes.
/// Each signature that is of it digests them once more, in the library: not every key can sign a digest.
pub(crate) struct Component<'a> {
    bytes: &'a [u8],
    sha256: Sha256Hash,
}

/// What there is to show who signed a component.
pub(crate) struct Evidence {
    bundles: Vec<Result<Bundle, String>>,
    /// Whether there are more than are looked at.
    are_more: bool,
    manifest: Option<Vec<u8>>,
}

impl<'a> Component<'a> {
    /// `sha256`: the digest of these bytes, in hex, as the caller computed it.
    pub(crate) fn new(bytes: &'a [u8], sha256: &str) -> Self {
        let sha256 = Sha256Hash::from_hex(sha256).expect("whoever computes a digest writes 64 digits");
        Self { bytes, sha256 }
    }
}

impl Trust {
    /// Reads the signer's key or trusted root; `folder` is what paths are relative to.
    pub(crate) fn read(signer: &Signer, folder: &Path) -> Result<Self, String> {
        let text = |path: &str, what: &str| {
            std::fs::read_to_string(folder.join(path))
                .map_err(|error| format!("the {what} {path} cannot be read: {error}"))
        };
        match signer {
            Signer::Key { key: path } => {
                let no_key = |why| format!("{path} is no public key in PEM, as cosign.pub is: {why}");
                let key = public_key(&text(path, "key")?).map_err(no_key)?;
                Ok(Self::Key { name: path.clone(), key })
            }
            Signer::Identity { identity, issuer, trusted_root } => {
                let named = trusted_root.as_ref().map(|path| {
                    let no_root =
                        |why| format!("{path} is no trusted root, as `cosign trusted-root create` writes: {why}");
                    instance(&text(path, "trusted root")?).map(Box::new).map_err(no_root)
                });
                Ok(Self::Identity { identity: identity.clone(), issuer: issuer.clone(), instance: named.transpose()? })
            }
        }
    }

    fn verify(&self, bundle: &Bundle, artefact: &[u8]) -> Result<Signed, String> {
        let certified = !matches!(bundle.verification_material.content, VerificationMaterialContent::PublicKey(_));
        match self {
            Self::Key { .. } if certified => Err("was made by an identity, and not with a key".into()),
            Self::Key { name, key } => {
                verify_with_key(key, bundle, artefact).map_err(|why| match other_key(bundle, key) {
                    Some(made_with) => format!("was made with another key than {name} ({made_with})"),
                    None => format!("is not by {name}, or was changed: {why}"),
                })?;
                Ok(Signed { by: format!("the key {name} ({})", fingerprint(key)), at: None })
            }
            Self::Identity { .. } if !certified => Err("was made with a key, and not by an identity".into()),
            Self::Identity { identity, issuer, instance } => {
                let instance = instance.as_deref().unwrap_or(&PUBLIC_INSTANCE);
                let (found, signed) = verify_certified(instance, bundle, artefact)?;
                let fits_issuer = found.issuer() == Some(issuer.as_str());
                let fits = found.identity().is_some_and(|found| fits_pattern(identity, found.as_str()));
                if fits && fits_issuer { Ok(signed) } else { Err(format!("was made by {}", signed.by)) }
            }
        }
    }
}

impl Evidence {
    /// `bundles`: one or more, in JSON, one after the other; after one that is no JSON nobody knows where the next one
    /// begins. `manifest`: that of the artefact in a registry in which the component came.
    pub(crate) fn new(bundles: &[u8], manifest: Option<Vec<u8>>) -> Self {
        let mut values = serde_json::Deserializer::from_slice(bundles).into_iter::<Value>();
        let mut bundles = Vec::new();
        for value in values.by_ref().take(SIGNATURE_COUNT_MAX) {
            let is_json = value.is_ok();
            bundles.push(value.and_then(serde_json::from_value).map_err(|error| no_bundle(&error)));
            if !is_json {
                return Self { bundles, are_more: false, manifest };
            }
        }
        Self { bundles, are_more: values.next().is_some(), manifest }
    }

    /// What lies beside the file of a component; `None` where no signature does.
    pub(crate) fn beside(component: &Path) -> Result<Option<Self>, String> {
        let (bundles, manifest) = (signature_path(component), manifest_path(component));
        let Some(bytes) = read(&bundles)? else { return Ok(None) };
        Ok(Some(Self::new(&bytes, read(&manifest)?)))
    }

    /// The signature by whom `trust` recognises, or what is wrong with those that there are.
    pub(crate) fn proven(&self, component: &Component<'_>, trust: &Trust) -> Result<Signed, String> {
        let mut faults: Vec<String> = Vec::new();
        for bundle in &self.bundles {
            let verified = bundle.as_ref().map_err(Clone::clone).and_then(|bundle| {
                let artefact = self.artefact(bundle, component)?;
                trust.verify(bundle, artefact)
            });
            let verified = verified.map_err(|fault| line(&fault, FAULT_BYTES_MAX));
            match verified {
                Ok(signed) => return Ok(signed),
                Err(fault) if faults.contains(&fault) => {}
                Err(fault) => faults.push(fault),
            }
        }
        faults.truncate(FAULT_COUNT_MAX);
        let fault = match faults.as_slice() {
            [] => "the file of its signature is empty".into(),
            [fault] => format!("its signature {fault}"),
            faults => format!("none of its signatures fits: one {}", faults.join("; one ")),
        };
        Err(if self.are_more { format!("{fault}; {}", not_looked_at()) } else { fault })
    }

    /// What each signature says of itself: verified for those by identities that Sigstore's public instance knows,
    /// and only named for those with a key.
    pub(crate) fn claims(&self, component: &Component<'_>) -> Vec<String> {
        let claim = |bundle: &Result<Bundle, String>| -> Result<String, String> {
            let bundle = bundle.as_ref().map_err(Clone::clone)?;
            let artefact = self.artefact(bundle, component)?;
            if let VerificationMaterialContent::PublicKey(key) = &bundle.verification_material.content {
                return Ok(format!("with a key ({}), not verified: give it as --key", quoted(&key.hint)));
            }
            verify_certified(&PUBLIC_INSTANCE, bundle, artefact).map(|(_, signed)| signed.to_string())
        };
        let claim = |bundle| claim(bundle).unwrap_or_else(|why| format!("nobody: it {why}"));
        let claims = self.bundles.iter().map(|bundle| line(&claim(bundle), FAULT_BYTES_MAX));
        claims.chain(self.are_more.then(not_looked_at)).collect()
    }

    /// The bytes that a signature is of: the component's, or those of the manifest that names it.
    fn artefact<'a>(&'a self, bundle: &Bundle, component: &Component<'a>) -> Result<&'a [u8], String> {
        let subject = Subject::of(bundle)?;
        if let Some(predicate) = subject.attested() {
            return Err(format!("is an attestation ({}), and not what `cosign sign` makes", quoted(predicate)));
        }
        let digest = &component.sha256;
        if subject.is(digest) {
            return Ok(component.bytes);
        }
        match &self.manifest {
            Some(manifest) if subject.is(&sha256(manifest)) => {
                if names(manifest, &digest.to_hex()) {
                    return Ok(manifest);
                }
                Err(format!("is of a manifest that does not name this component (SHA-256 {})", digest.to_hex()))
            }
            _ => Err(format!("is of something else ({subject}) than this component (SHA-256 {})", digest.to_hex())),
        }
    }
}

fn not_looked_at() -> String {
    format!("there are more, but only {SIGNATURE_COUNT_MAX} are looked at")
}

/// Reads what lies beside `file` and demands a signature by `signer`. `remedy` says how to get one.
///
/// # Errors
/// Says what is missing or wrong, and what to do.
pub(super) fn demand(
    signer: &Signer,
    file: &Path,
    folder: &Path,
    component: &Component<'_>,
    remedy: &str,
) -> Result<(), String> {
    let refused = |why: String| format!("it must be signed by {signer}, but {why}");
    let trust = Trust::read(signer, folder).map_err(refused)?;
    let evidence = Evidence::beside(file).map_err(refused)?;
    let missing = || refused(format!("there is no {}: {remedy}", signature_path(file).display()));
    let proven = evidence.ok_or_else(missing)?.proven(component, &trust);
    proven.map(drop).map_err(|why| refused(format!("{why}: {remedy}, or name in signed_by whom you trust")))
}

fn public_key(text: &str) -> Result<DerPublicKey, String> {
    let key = DerPublicKey::from_pem(text.trim()).map_err(|error| error.to_string())?;
    KeyAlgorithm::from_spki(&key).map_err(|error| error.to_string())?;
    Ok(key)
}

/// Whoever a trusted root names, ready to be relied on.
fn instance(root: &str) -> Result<Verifier, String> {
    let root = TrustedRoot::from_json(root).map_err(|error| error.to_string())?;
    // The library takes any JSON for a root that names nobody.
    if root.certificate_authorities.is_empty() {
        return Err(format!("it names no certificate authority ({})", root.media_type));
    }
    Verifier::new(&root).map_err(|error| error.to_string())
}

/// A key decides alone: logs and timestamps say when something was signed, and whoever has the key may say so too.
fn verify_with_key(key: &DerPublicKey, bundle: &Bundle, artefact: &[u8]) -> Result<(), String> {
    let algorithm = KeyAlgorithm::from_spki(key).map_err(|error| error.to_string())?;
    match &bundle.content {
        SignatureContent::MessageSignature(message) => {
            let scheme = match &message.message_digest {
                Some(digest) => {
                    algorithm.resolve_signing_scheme(digest.algorithm).map_err(|error| error.to_string())?
                }
                None => algorithm.default_signing_scheme(),
            };
            verify_signature(key, artefact, &message.signature, scheme)
        }
        SignatureContent::DsseEnvelope(envelope) => {
            verify_signature(key, &envelope.pae(), &envelope.signature.sig, algorithm.default_signing_scheme())
        }
        _ => return Err("has a form that this server does not know".into()),
    }
    .map_err(|error| error.to_string())
}

/// Certificate, its log, the signature's log and times, and the signature; whose it may be is for the caller.
fn verify_certified(
    instance: &Verifier,
    bundle: &Bundle,
    artefact: &[u8],
) -> Result<(VerificationResult, Signed), String> {
    let found = instance
        .verify(artefact, bundle, &VerificationPolicy::any_identity())
        .map_err(|error| format!("does not hold: {error}"))?;
    let identity = found.identity().map_or("nobody", |identity| identity.as_str());
    let by = format!("{identity} (issuer {})", found.issuer().unwrap_or("unknown"));
    let at = found.verified_timestamps().iter().min().and_then(|at| DateTime::from_timestamp(at.as_second(), 0));
    Ok((found, Signed { by, at }))
}

/// The key that a bundle says it was made with, where that is another one. It may lie: it only explains a failure.
fn other_key(bundle: &Bundle, key: &DerPublicKey) -> Option<String> {
    let VerificationMaterialContent::PublicKey(named) = &bundle.verification_material.content else { return None };
    let own = fingerprint(key);
    (!named.hint.is_empty() && named.hint != own).then(|| format!("{}, and not {own}", quoted(&named.hint)))
}

/// A key as cosign names it: SHA-256 of its DER form, in base64.
fn fingerprint(key: &DerPublicKey) -> String {
    sha256(key.as_bytes()).to_base64()
}

/// Whether the manifest of an artefact has this component, and nothing else, in it.
fn names(manifest: &[u8], component_digest: &str) -> bool {
    #[derive(Deserialize)]
    struct Manifest {
        layers: Vec<Layer>,
    }
    #[derive(Deserialize)]
    struct Layer {
        digest: String,
    }
    serde_json::from_slice(manifest).is_ok_and(|manifest: Manifest| match manifest.layers.as_slice() {
        [layer] => layer.digest.strip_prefix("sha256:") == Some(component_digest),
        _ => false,
    })
}

/// Whether a text is what a pattern says; `*` stands for any text without a slash.
fn fits_pattern(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    text.strip_prefix(before).is_some_and(|rest| {
        let end = rest.find('/').unwrap_or(rest.len());
        (0..=end).any(|at| rest.get(at..).is_some_and(|rest| fits_pattern(after, rest)))
    })
}

/// A text out of a bundle, for terminals and logs.
fn quoted(text: &str) -> String {
    line(text, QUOTE_BYTES_MAX)
}

fn no_bundle(error: &serde_json::Error) -> String {
    format!("is no bundle, as cosign 3 (or 2 with --new-bundle-format) writes: {error}")
}

fn read(file: &Path) -> Result<Option<Vec<u8>>, String> {
    let failed = |error: std::io::Error| format!("{} cannot be read: {error}", file.display());
    let opened = match File::open(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    opened.take(EVIDENCE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > EVIDENCE_BYTES_MAX {
        return Err(format!("{} is larger than {EVIDENCE_BYTES_MAX} bytes", file.display()));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

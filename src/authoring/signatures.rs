//! Who signed a policy: its signatures in a registry, where `cosign sign` puts them, and those beside a file, where
//! `cosign sign-blob` and `issuecommand policy pull` put them.

use std::path::Path;

use oci_client::Reference;
use oci_client::client::Client;
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor};
use oci_client::secrets::RegistryAuth;
use sha2::{Digest, Sha256};

use super::AuthoringError;
use crate::config::Signer;
use crate::policy::Signed;
use crate::policy::signature::{Component, EVIDENCE_BYTES_MAX, Evidence, SIGNATURE_COUNT_MAX, Trust, may_be_signature};

/// What the media type of a bundle begins with; a version follows.
const BUNDLE_MEDIA_TYPE_START: &str = "application/vnd.dev.sigstore.bundle";
/// Most referrers of one artefact that are looked at: signatures are among attestations and bills of material.
const REFERRER_COUNT_MAX: usize = 64;

/// The signatures of an artefact, and what they are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatures {
    /// The bundles, in JSON, each on its line.
    pub bundles: Vec<u8>,
    /// The artefact's manifest, to the byte.
    pub manifest: Vec<u8>,
}

impl Signatures {
    /// Those that a registry has for `artefact`, named by its digest; `None` where there are none.
    pub(super) async fn fetch(
        client: &Client,
        auth: &RegistryAuth,
        artefact: &Reference,
    ) -> Result<Option<Self>, OciDistributionError> {
        // Not by type: some registries' lists do not have it right, and cosign's own list neither.
        let referrers = client.pull_referrers(artefact, None).await?.manifests;
        let referrers = referrers.into_iter().filter(|referrer| referrer.media_type == OCI_IMAGE_MEDIA_TYPE);
        let mut bundles = Vec::new();
        for referrer in referrers.take(REFERRER_COUNT_MAX) {
            let referrer = artefact.clone_with_digest(referrer.digest);
            let (manifest, _) = client.pull_image_manifest(&referrer, auth).await?;
            for layer in manifest.layers.iter().filter(|layer| is_bundle(layer)) {
                let mut bundle = Vec::new();
                client.pull_blob(&referrer, layer, &mut bundle).await?;
                let fits = (bundles.len() + bundle.len()) as u64 <= EVIDENCE_BYTES_MAX - SIGNATURE_COUNT_MAX as u64;
                if fits && may_be_signature(&bundle) {
                    bundles.extend(bundle);
                    bundles.push(b'\n');
                }
            }
        }
        if bundles.is_empty() {
            return Ok(None);
        }
        let (manifest, _) = client.pull_manifest_raw(artefact, auth, &[OCI_IMAGE_MEDIA_TYPE]).await?;
        Ok(Some(Self { bundles, manifest: manifest.to_vec() }))
    }

    /// The signature of `component` by `signer`; `folder` is what the signer's paths are relative to.
    pub(super) fn proven(&self, component: &Component<'_>, signer: &Signer, folder: &Path) -> Result<Signed, String> {
        let trust = Trust::read(signer, folder)?;
        Evidence::new(&self.bundles, Some(self.manifest.clone())).proven(component, &trust)
    }
}

/// Who signed the component in `file`, by the signatures beside it. With a `signer` that one must have; without,
/// each signature says it of itself, and whether that is verified. `folder` is what the signer's paths are relative to.
///
/// # Errors
/// [`AuthoringError::Signature`] when `signer` did not sign it, or what lies beside the file cannot be read.
pub fn signed_by(
    file: &Path,
    component: &[u8],
    signer: Option<&Signer>,
    folder: &Path,
) -> Result<Vec<String>, AuthoringError> {
    let evidence = Evidence::beside(file).map_err(AuthoringError::Signature)?;
    let component = &Component::new(component, &hex::encode(Sha256::digest(component)));
    match (signer, evidence) {
        (None, evidence) => Ok(evidence.map(|evidence| evidence.claims(component)).unwrap_or_default()),
        (Some(signer), None) => Err(not_signed(&file.display().to_string(), signer, "there is no signature beside it")),
        (Some(signer), Some(evidence)) => {
            let proven = Trust::read(signer, folder).and_then(|trust| evidence.proven(component, &trust));
            let signed = proven.map_err(|why| not_signed(&file.display().to_string(), signer, &why))?;
            Ok(vec![signed.to_string()])
        }
    }
}

/// That `what` is refused, as its signatures are.
pub(super) fn not_signed(what: &str, signer: &Signer, why: &str) -> AuthoringError {
    AuthoringError::Signature(format!("{what} must be signed by {signer}, but {why}"))
}

fn is_bundle(layer: &OciDescriptor) -> bool {
    let fits = u64::try_from(layer.size).is_ok_and(|bytes| bytes <= EVIDENCE_BYTES_MAX);
    fits && layer.media_type.starts_with(BUNDLE_MEDIA_TYPE_START)
}

//! Policies in OCI registries, in the form that the WebAssembly ecosystem agreed on: one layer
//! `application/wasm`, and a config that names what the component imports and exports.

use std::path::Path;

use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{OciDescriptor, OciImageManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::signatures::{Found, Signatures, not_signed};
use super::{About, AuthoringError, Specimen};
use crate::config::{OCI_PREFIX, Signer, is_on_this_machine};
use crate::policy::signature::Component;
use crate::policy::{COMPONENT_BYTES_MAX, Signed};

/// The media type of the config, by the "Wasm OCI Artifact" layout that `wkg` writes and reads.
const CONFIG_MEDIA_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// The media type of the component, by the same.
const LAYER_MEDIA_TYPE: &str = "application/wasm";
/// The longest wait for a registry to be reached, and for it to send on, in seconds.
const WAIT_SECONDS_MAX: u64 = 30;

/// How registries are spoken to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Registry {
    /// Without TLS; only to a registry on this machine.
    pub insecure_http: bool,
}

/// A policy that is in a registry now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Where: `host/name:tag`.
    pub reference: String,
    /// The digest of its manifest: `sha256:` and hex. A name with this digest never means anything else.
    pub manifest_digest: String,
    /// SHA-256 of the component, in hex: what `sha256 = ` pins.
    pub sha256: String,
}

/// A policy that came from a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// Where from: `host/name:tag`.
    pub reference: String,
    /// The digest of its manifest.
    pub manifest_digest: String,
    /// The component; its SHA-256 is the one that the manifest names.
    pub component: Vec<u8>,
    /// SHA-256 of the component, in hex.
    pub sha256: String,
    /// What the registry has of signatures, if anything.
    pub signatures: Option<Signatures>,
    /// Why the registry may have more signatures: what could not be read, or was not looked at.
    pub unread: Option<String>,
    /// Who was found to have signed it; `None` where nobody in particular was asked for.
    pub signed: Option<Signed>,
}

impl Registry {
    /// Puts a component into a registry, under `reference` (`host/name:tag`, with `oci://` or without).
    ///
    /// # Errors
    /// [`AuthoringError::Component`] when it is no policy, [`AuthoringError::Registry`] when the registry does not
    /// take it, with what to do.
    pub async fn push(&self, reference: &str, component: &[u8], about: &About) -> Result<Pushed, AuthoringError> {
        let specimen = Specimen::of(component)?;
        specimen.is_policy().map_err(AuthoringError::Component)?;
        let to = self.reference(reference)?;
        let layers = [ImageLayer::new(component.to_vec(), LAYER_MEDIA_TYPE.to_owned(), None)];
        let config = Config::new(config_of(&specimen, about), CONFIG_MEDIA_TYPE.to_owned(), None);
        let manifest = OciImageManifest::build(&layers, &config, Some(about.annotations()));
        let (client, auth) = (self.client(), credentials(to.resolve_registry())?);
        let failed = |error| failure("push", &to, &error);
        client.push(&to, &layers, config, &auth, Some(manifest)).await.map_err(failed)?;
        let manifest_digest = client.fetch_manifest_digest(&to, &auth).await.map_err(failed)?;
        Ok(Pushed { reference: to.whole(), manifest_digest, sha256: specimen.sha256 })
    }

    /// Gets a component from a registry. `pin` is the SHA-256 that it must have, `signer` who must have signed it,
    /// with the folder that the signer's paths are relative to.
    ///
    /// # Errors
    /// [`AuthoringError::Registry`] when there is none, it is no policy's artefact, or not the one that is pinned;
    /// [`AuthoringError::Signature`] when `signer` did not sign it.
    pub async fn pull(
        &self,
        reference: &str,
        pin: Option<&str>,
        signer: Option<(&Signer, &Path)>,
    ) -> Result<Pulled, AuthoringError> {
        let from = self.reference(reference)?;
        let (client, auth) = (self.client(), credentials(from.resolve_registry())?);
        let failed = |error| failure("pull", &from, &error);
        let (manifest, manifest_digest) = client.pull_image_manifest(&from, &auth).await.map_err(failed)?;
        let layer = component_layer(&manifest).map_err(|why| AuthoringError::Registry(format!("{from}: {why}")))?;
        let mut component = Vec::new();
        client.pull_blob(&from, layer, &mut component).await.map_err(failed)?;
        let sha256 = hex::encode(Sha256::digest(&component));
        // The client checks too; that a policy is the one that is named must not hang on it.
        if layer.digest.strip_prefix("sha256:") != Some(sha256.as_str()) {
            let why = format!("{from}: the registry sent a component with SHA-256 {sha256} for {}", layer.digest);
            return Err(AuthoringError::Registry(why));
        }
        if let Some(pin) = pin.filter(|pin| !pin.eq_ignore_ascii_case(&sha256)) {
            let why = format!("{from} now holds SHA-256 {sha256}, but {pin} is pinned: if the change is meant, pin it");
            return Err(AuthoringError::Registry(why));
        }
        Specimen::of(&component)?.is_policy().map_err(AuthoringError::Component)?;
        let artefact = from.clone_with_digest(manifest_digest.clone());
        let Found { signatures, unread } = match Signatures::fetch(&client, &auth, &artefact).await {
            Ok(found) => found,
            Err(error) if signer.is_some() => return Err(failure("list the signatures of", &from, &error)),
            // A registry that cannot tell who signed is no reason to do without what nobody asked to be signed.
            Err(error) => Found { signatures: None, unread: Some(text_of(&error)) },
        };
        let signed = signer.map(|(signer, folder)| match (&signatures, &unread) {
            (None, None) => Err(not_signed(&from.whole(), signer, &never_signed(&artefact, signer))),
            (None, Some(unread)) => {
                Err(not_signed(&from.whole(), signer, &format!("its signatures could not be read: {unread}")))
            }
            (Some(signatures), unread) => {
                let proven = signatures.proven(&Component::new(&component, &sha256), signer, folder);
                let more = unread.as_ref().map(|why| format!("; others could not be read: {why}")).unwrap_or_default();
                proven.map_err(|why| not_signed(&from.whole(), signer, &format!("{why}{more}")))
            }
        });
        let signed = signed.transpose()?;
        Ok(Pulled { reference: from.whole(), manifest_digest, component, sha256, signatures, unread, signed })
    }

    fn reference(&self, text: &str) -> Result<Reference, AuthoringError> {
        let named = text.strip_prefix(OCI_PREFIX).unwrap_or(text);
        let reference: Reference = named.parse().map_err(|error| {
            AuthoringError::Registry(format!("{text:?} names no artefact ({error}): write HOST/NAME:TAG"))
        })?;
        // Without a host the client would go to docker.io, which nobody meant who wrote none.
        let host = named.split_once('/').map_or("", |(host, _)| host);
        if !host.contains(['.', ':']) && host != "localhost" {
            let why = format!("{text:?} names no registry: write its host too, as in ghcr.io/acme/quick-wins:1.0.0");
            return Err(AuthoringError::Registry(why));
        }
        if self.insecure_http && !is_on_this_machine(reference.registry()) {
            let why = format!("--insecure-http is for a registry on this machine, not for {}", reference.registry());
            return Err(AuthoringError::Registry(why));
        }
        Ok(reference)
    }

    fn client(&self) -> Client {
        let wait = std::time::Duration::from_secs(WAIT_SECONDS_MAX);
        Client::new(ClientConfig {
            protocol: if self.insecure_http { ClientProtocol::Http } else { ClientProtocol::Https },
            connect_timeout: Some(wait),
            read_timeout: Some(wait),
            user_agent: concat!("issuecommand/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        })
    }
}

/// What `wkg` and runtimes read of a component before they fetch it. Nothing in it changes from push to push.
fn config_of(specimen: &Specimen, about: &About) -> Vec<u8> {
    let imports: Vec<&String> = specimen.imports.keys().collect();
    let mut config = json!({
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [format!("sha256:{}", specimen.sha256)],
        "component": { "imports": imports, "exports": specimen.exports, "target": null },
    });
    if let Some(authors) = &about.authors {
        config["author"] = json!(authors);
    }
    config.to_string().into_bytes()
}

/// The one layer that a policy's artefact has.
fn component_layer(manifest: &OciImageManifest) -> Result<&OciDescriptor, String> {
    let [layer] = &manifest.layers[..] else {
        return Err(format!("it has {} layers; a policy's artefact has one component", manifest.layers.len()));
    };
    if layer.media_type != LAYER_MEDIA_TYPE {
        return Err(format!("it holds {}, not {LAYER_MEDIA_TYPE}: it is no policy", layer.media_type));
    }
    if u64::try_from(layer.size).is_ok_and(|bytes| bytes <= COMPONENT_BYTES_MAX) {
        return Ok(layer);
    }
    Err(format!("it says that it has {} bytes; a policy has at most {COMPONENT_BYTES_MAX}", layer.size))
}

fn never_signed(artefact: &Reference, signer: &Signer) -> String {
    let key = if matches!(signer, Signer::Key { .. }) { "--key cosign.key " } else { "" };
    format!("the registry has no signature of it: sign it with `cosign sign {key}{artefact}` (cosign 3)")
}

/// What `docker login` keeps for a registry, if anything.
fn credentials(registry: &str) -> Result<RegistryAuth, AuthoringError> {
    match docker_credential::get_credential(registry) {
        Ok(DockerCredential::UsernamePassword(name, password)) => Ok(RegistryAuth::Basic(name, password)),
        Ok(DockerCredential::IdentityToken(token)) => Ok(RegistryAuth::Bearer(token)),
        Err(
            CredentialRetrievalError::NoCredentialConfigured
            | CredentialRetrievalError::ConfigNotFound
            | CredentialRetrievalError::ConfigReadError,
        ) => Ok(RegistryAuth::Anonymous),
        // A helper's own words may hold what it should have kept to itself.
        Err(CredentialRetrievalError::HelperFailure { helper, .. }) => Err(AuthoringError::Registry(format!(
            "the credential helper {helper} failed for {registry}: run `docker login {registry}` again"
        ))),
        Err(error) => Err(AuthoringError::Registry(format!("the credentials for {registry} cannot be read: {error}"))),
    }
}

fn failure(verb: &str, reference: &Reference, error: &OciDistributionError) -> AuthoringError {
    let registry = reference.resolve_registry();
    let hint = match error {
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => {
            format!(": run `docker login {registry}` and try again")
        }
        OciDistributionError::ImageManifestNotFoundError(_) => ": look for the name and the tag".to_owned(),
        OciDistributionError::RequestError(_) => {
            format!(": is {registry} up and reachable? A registry on this machine without TLS needs --insecure-http")
        }
        _ => String::new(),
    };
    AuthoringError::Registry(format!("failed to {verb} {reference}: {}{hint}", text_of(error)))
}

/// An error with its causes: a failed connection says only there what failed.
pub(super) fn text_of(error: &OciDistributionError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        if !text.contains(&next.to_string()) {
            text = format!("{text}: {next}");
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn http_without_tls_stays_on_this_machine() {
        let insecure = Registry { insecure_http: true };
        for text in ["localhost:5000/p:1", "127.0.0.1:5000/p:1", "oci://127.0.0.1:5000/team/p:1"] {
            insecure.reference(text).unwrap();
        }
        for text in ["ghcr.io/team/p:1", "localhost.example.org:5000/p:1", "10.0.0.1:5000/p:1"] {
            let error = insecure.reference(text).unwrap_err().to_string();
            assert!(error.contains("registry on this machine"), "{error}");
            Registry::default().reference(text).unwrap();
        }
    }

    #[test]
    fn a_name_that_is_none_is_told_how_to_write_it() {
        let error = Registry::default().reference("oci://Upper/Case:1").unwrap_err().to_string();
        assert!(error.contains("HOST/NAME:TAG"), "{error}");
    }

    #[test]
    fn an_artefact_that_is_no_policy_is_refused_before_it_is_fetched() {
        let layer =
            |media_type: &str, size: i64| OciDescriptor { media_type: media_type.into(), size, ..Default::default() };
        let manifest = |layers| OciImageManifest { layers, ..Default::default() };
        let refusal = |layers| component_layer(&manifest(layers)).unwrap_err();
        assert!(refusal(vec![]).contains("0 layers"));
        assert!(refusal(vec![layer("application/vnd.oci.image.layer.v1.tar+gzip", 1)]).contains("no policy"));
        assert!(refusal(vec![layer(LAYER_MEDIA_TYPE, i64::MAX)]).contains("at most"));
        assert!(refusal(vec![layer(LAYER_MEDIA_TYPE, -1)]).contains("at most"));
        component_layer(&manifest(vec![layer(LAYER_MEDIA_TYPE, 1000)])).unwrap();
    }
}
